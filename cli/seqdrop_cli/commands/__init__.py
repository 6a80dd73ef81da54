"""Define the commands of `seqdrop`: the module of a command has its name."""
