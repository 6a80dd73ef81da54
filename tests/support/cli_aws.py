"""For the tests of the command line: a stack on moto, in this process."""

from collections.abc import Iterator
from contextlib import contextmanager

from seqdrop_cli.stack import Stack

from support.function_aws import client, empty_aws, session

MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:pipeline"
RUN = "0123456789abcdef0123"
RESULTS = "s3://results/S1/" + RUN


@contextmanager
def stack() -> Iterator[Stack]:
    with empty_aws():
        s3 = client("s3")
        for bucket in ("fastq", "results", "references"):
            s3.create_bucket(Bucket=bucket)
            s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        client("dynamodb").create_table(
            TableName="runs",
            AttributeDefinitions=[{"AttributeName": "run", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "run", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )
        outputs = {
            "FastqBucket": "fastq",
            "ResultsBucket": "results",
            "ReferenceBucket": "references",
            "RunTable": "runs",
            "PipelineStateMachine": MACHINE,
            "PrepareReferenceStateMachine": MACHINE.replace("pipeline", "prepare"),
            "Aligner": "bwa_mem3",
            "Caller": "bcftools",
            "DefaultReference": "hg",
            "JobLogGroup": "/jobs",
        }
        yield Stack("seqdrop", outputs, session())
