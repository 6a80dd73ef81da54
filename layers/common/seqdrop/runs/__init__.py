"""What the Lambda functions need."""
