"""List the expected result of each path: states, end and submitted jobs. Nothing is computed here."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Route(NamedTuple):
    """The states that are entered, in order: of the state machine itself and of its two parallel branches."""

    top: str
    variants: str = ""
    stats: str = ""


VARIANTS, STATS = "ChooseCalling CallVariants AnnotateVariants VariantsDone", "CollectStats StatsDone"
GOOD = Route("ChooseForm AlignReads AnalyzeAlignment BuildReport RecordRun RunComplete RunSucceeded", VARIANTS, STATS)
GOOD_FUSED = Route("ChooseForm RunFused RecordRun RunComplete RunSucceeded")
GOOD_PREPARATION = Route("SizePreparation PrepareReference ReferenceReady")
BAD_BRANCH = "ChooseForm AlignReads AnalyzeAlignment BuildReport RecordRun RunComplete RunFailed"
SIZES = {step: ("default", vcpus, memory, "1") for step, vcpus, memory in (
    ("align", "8", "16000"),
    ("call", "8", "12000"),
    ("annotate", "2", "8000"),
    ("collect", "2", "4000"),
    ("compose", "1", "2000"),
    ("fused", "4", "6000"),
    ("prepare", "8", "24000"),
)}  # fmt: skip
TWICE_THE_MEMORY = {
    "align": "32000",
    "call": "24000",
    "annotate": "16000",
    "collect": "8000",
    "compose": "4000",
    "fused": "12000",
    "prepare": "48000",
}

# the second try of a step succeeds
SECOND_TRY = {
    "align": Route(
        "ChooseForm AlignReads DiagnoseAlignment RetryAlignment AlignReads AnalyzeAlignment"
        " BuildReport RecordRun RunComplete"
        " RunSucceeded",
        VARIANTS,
        STATS,
    ),
    "call": GOOD._replace(
        variants="ChooseCalling CallVariants DiagnoseVariants RetryVariants CallVariants AnnotateVariants VariantsDone"
    ),
    "annotate": GOOD._replace(
        variants="ChooseCalling CallVariants AnnotateVariants DiagnoseVariants RetryVariants AnnotateVariants"
        " VariantsDone"
    ),
    "collect": GOOD._replace(stats="CollectStats DiagnoseStats RetryStats CollectStats StatsDone"),
    "compose": Route(
        "ChooseForm AlignReads AnalyzeAlignment BuildReport DiagnoseReport RetryReport BuildReport"
        " RecordRun RunComplete"
        " RunSucceeded",
        VARIANTS,
        STATS,
    ),
    "fused": Route("ChooseForm RunFused DiagnoseFused RetryFused RunFused RecordRun RunComplete RunSucceeded"),
    "prepare": Route(
        "SizePreparation PrepareReference DiagnosePreparation RetryPreparation PrepareReference ReferenceReady"
    ),
}
# a step without a second try fails
GAVE_UP = {
    "align": Route("ChooseForm AlignReads DiagnoseAlignment RetryAlignment RecordRun RunComplete RunFailed"),
    "call": Route(BAD_BRANCH, "ChooseCalling CallVariants DiagnoseVariants RetryVariants VariantsDone", STATS),
    "annotate": Route(
        BAD_BRANCH, "ChooseCalling CallVariants AnnotateVariants DiagnoseVariants RetryVariants VariantsDone", STATS
    ),
    "collect": Route(BAD_BRANCH, VARIANTS, "CollectStats DiagnoseStats RetryStats StatsDone"),
    "compose": Route(
        "ChooseForm AlignReads AnalyzeAlignment BuildReport DiagnoseReport RetryReport RecordRun RunComplete RunFailed",
        VARIANTS,
        STATS,
    ),
    "fused": Route("ChooseForm RunFused DiagnoseFused RetryFused RecordRun RunComplete RunFailed"),
    "prepare": Route("SizePreparation PrepareReference DiagnosePreparation RetryPreparation PreparationFailed"),
}
# the second try fails, and there is no third
GAVE_UP_LATER = {
    "align": Route(
        "ChooseForm AlignReads DiagnoseAlignment RetryAlignment AlignReads DiagnoseAlignment RetryAlignment RecordRun"
        " RunComplete RunFailed"
    ),
    "call": Route(
        BAD_BRANCH,
        "ChooseCalling CallVariants DiagnoseVariants RetryVariants CallVariants DiagnoseVariants RetryVariants"
        " VariantsDone",
        STATS,
    ),
    "annotate": Route(
        BAD_BRANCH,
        "ChooseCalling CallVariants AnnotateVariants DiagnoseVariants RetryVariants AnnotateVariants DiagnoseVariants"
        " RetryVariants VariantsDone",
        STATS,
    ),
    "collect": Route(
        BAD_BRANCH, VARIANTS, "CollectStats DiagnoseStats RetryStats CollectStats DiagnoseStats RetryStats StatsDone"
    ),
    "compose": Route(
        "ChooseForm AlignReads AnalyzeAlignment BuildReport DiagnoseReport RetryReport BuildReport"
        " DiagnoseReport RetryReport"
        " RecordRun RunComplete RunFailed",
        VARIANTS,
        STATS,
    ),
    "fused": Route(
        "ChooseForm RunFused DiagnoseFused RetryFused RunFused DiagnoseFused RetryFused RecordRun RunComplete RunFailed"
    ),
    "prepare": Route(
        "SizePreparation PrepareReference DiagnosePreparation RetryPreparation PrepareReference DiagnosePreparation"
        " RetryPreparation PreparationFailed"
    ),
}
# diagnose failed
UNDIAGNOSED = {
    "align": Route("ChooseForm AlignReads DiagnoseAlignment RecordRun RunComplete RunFailed"),
    "call": Route(BAD_BRANCH, "ChooseCalling CallVariants DiagnoseVariants VariantsDone", STATS),
    "annotate": Route(BAD_BRANCH, "ChooseCalling CallVariants AnnotateVariants DiagnoseVariants VariantsDone", STATS),
    "collect": Route(BAD_BRANCH, VARIANTS, "CollectStats DiagnoseStats StatsDone"),
    "compose": Route(
        "ChooseForm AlignReads AnalyzeAlignment BuildReport DiagnoseReport RecordRun RunComplete RunFailed",
        VARIANTS,
        STATS,
    ),
    "fused": Route("ChooseForm RunFused DiagnoseFused RecordRun RunComplete RunFailed"),
    "prepare": Route("SizePreparation PrepareReference DiagnosePreparation PreparationUndiagnosed"),
}

TOO_LITTLE_MEMORY = "The job used more memory than its limit and was killed."
# failures without another try: class, message, and the number of submitted jobs
FINAL = {
    "Truncated": ("BAD_INPUT.TRUNCATED", "NA12878_R2.fastq.gz is truncated: its gzip data has no end", 1),
    "ToolFailed": ("TOOL_FAILED", "The tool ended with exit code 1", 1),
    "Silent": ("TOOL_FAILED", "The job ended with exit code 3 and left no verdict.", 1),
    "TooLarge": (
        "NOT_PLACED",
        "No instance fits the job: lower its vCPUs or memory parameter, raise MaxVcpus, or add larger InstanceTypes.",
        1,
    ),
    "TimedOut": ("TIMEOUT", "The job ran longer than its time limit and was terminated.", 1),
    "Stopped": ("STOPPED", "The job was stopped: wrong sample.", 1),
    "Refused": (
        "INTERNAL",
        "The job could not be run (Batch.ClientException): JobQueue default not found (Service: AWSBatch;"
        " Status Code: 400)",
        1,
    ),
    "Denied": (
        "DENIED",
        "AWS Batch refused the job: User is not authorized to perform: batch:SubmitJob (Status Code: 403)",
        7,  # the first and the six of Retry
    ),
}
# all lines of some causes
CAUSES = {
    ("call", "ToolFailed"): [
        "The tool ended with exit code 1",
        "Class: TOOL_FAILED in call",
        "What to do: Check the tool's last lines and its log, correct the cause, then run `seqdrop resume RUN`.",
        "The tool's last lines:",
        "  [E::open] no",
        "Log: /jobs tool/default/6e1d3c5a",
    ],
    ("align", "OutOfMemoryTwice"): [
        TOO_LITTLE_MEMORY,
        "Class: OUT_OF_MEMORY in align",
        "What to do: Give this step more memory: raise AlignMemory of the stack, then run `seqdrop resume RUN`.",
        "Tried:",
        f"  align, try 1: OUT_OF_MEMORY: {TOO_LITTLE_MEMORY}; then: memory doubled to 32000 MiB",
        f"  align, try 2: OUT_OF_MEMORY: {TOO_LITTLE_MEMORY}",
        "Log: /jobs tool/default/6e1d3c5a",
    ],
    ("prepare", "OutOfMemoryTwice"): [
        TOO_LITTLE_MEMORY,
        "Class: OUT_OF_MEMORY in prepare",
        "What to do: Give this step more memory: raise PrepareMemory of the stack, then run `seqdrop reference`.",
        "Tried:",
        f"  prepare, try 1: OUT_OF_MEMORY: {TOO_LITTLE_MEMORY}; then: memory doubled to 48000 MiB",
        f"  prepare, try 2: OUT_OF_MEMORY: {TOO_LITTLE_MEMORY}",
        "Log: /jobs tool/default/6e1d3c5a",
    ],
}
NOT_DIAGNOSED = "The job failed, and the function diagnose failed too; see its log."
PREPARATION_NOT_DIAGNOSED = "The job failed and the function diagnose did too; see its log."
NOT_RECORDED = "The run could not be recorded; see the log of the function record_run."
# failures that another try or Retry alone repairs: submissions of the first try, changes of the second
REPAIRED: dict[str, tuple[int, Callable[[str], dict[str, str]] | None]] = {
    "OutOfMemory": (1, lambda step: {"memory": TWICE_THE_MEMORY[step]}),
    "SpotReclaimed": (1, lambda _: {"queue": "last-resort"}),
    "NotPlaced": (1, lambda _: {"queue": "last-resort"}),
    "DiskFull": (1, lambda _: {"vcpus": "32"}),
    "ImagePull": (1, lambda _: {}),
    "HostFailed": (1, lambda _: {}),
    "Throttled": (21, lambda _: {}),
    "ServerBusy": (3, None),
    "DeniedAtFirst": (7, None),
}


class Submission(NamedTuple):
    queue: str
    vcpus: str
    memory: str
    attempt: str


def first(step: str) -> Submission:
    return Submission(*SIZES[step])


def second(step: str, **change: str) -> Submission:
    return first(step)._replace(attempt="2", **change)


# joint runs
JOINED = "RecordRun RunComplete RunSucceeded"
NOT_JOINED = "DiagnoseJoint RetryJoint RecordRun RunComplete RunFailed"
TOOL_FAILED = ("FAILED", "TOOL_FAILED", "The tool ended with exit code 1")
JOINT: dict[str, tuple[tuple[str, ...], str]] = {
    "HappyPath": (("SUCCEEDED",), f"MergeParts JoinParts AnnotateVariants {JOINED}"),
    "MergeOutOfMemory": (
        ("SUCCEEDED",),
        f"MergeParts DiagnoseJoint RetryJoint MergeParts JoinParts AnnotateVariants {JOINED}",
    ),
    "JoinOutOfMemory": (
        ("SUCCEEDED",),
        f"MergeParts JoinParts DiagnoseJoint RetryJoint JoinParts AnnotateVariants {JOINED}",
    ),
    "AnnotateOutOfMemory": (
        ("SUCCEEDED",),
        f"MergeParts JoinParts AnnotateVariants DiagnoseJoint RetryJoint AnnotateVariants {JOINED}",
    ),
    "EveryStepAgain": (
        ("SUCCEEDED",),
        "MergeParts DiagnoseJoint RetryJoint MergeParts JoinParts DiagnoseJoint RetryJoint JoinParts AnnotateVariants"
        f" DiagnoseJoint RetryJoint AnnotateVariants {JOINED}",
    ),
    "MergeToolFailed": (TOOL_FAILED, f"MergeParts {NOT_JOINED}"),
    "JoinToolFailed": (TOOL_FAILED, f"MergeParts JoinParts {NOT_JOINED}"),
    "AnnotateToolFailed": (TOOL_FAILED, f"MergeParts JoinParts AnnotateVariants {NOT_JOINED}"),
    "MergeUndiagnosed": (
        ("FAILED", "INTERNAL", NOT_DIAGNOSED),
        "MergeParts DiagnoseJoint RecordRun RunComplete RunFailed",
    ),
    "NotRecorded": (
        ("FAILED", "NOT_RECORDED", NOT_RECORDED),
        "MergeParts JoinParts AnnotateVariants RecordRun RunNotRecorded",
    ),
}

# runs whose variants are called by an array job
PARTS_CALLED = "CallVariants AnnotateVariants VariantsDone"
SCATTERED: dict[str, tuple[tuple[str, ...], Route]] = {
    "ScatteredHappyPath": (("SUCCEEDED",), GOOD._replace(variants=f"ChooseCalling CallParts {PARTS_CALLED}")),
    "ScatterOutOfMemory": (
        ("SUCCEEDED",),
        GOOD._replace(variants=f"ChooseCalling CallParts DiagnoseVariants RetryVariants CallParts {PARTS_CALLED}"),
    ),
    "ScatterSpotReclaimed": (
        ("SUCCEEDED",),
        GOOD._replace(variants=f"ChooseCalling CallParts DiagnoseVariants RetryVariants CallParts {PARTS_CALLED}"),
    ),
    "ScatterToolFailed": (
        TOOL_FAILED,
        Route(BAD_BRANCH, "ChooseCalling CallParts DiagnoseVariants RetryVariants VariantsDone", STATS),
    ),
    "ScatterUndiagnosed": (
        ("FAILED", "INTERNAL", NOT_DIAGNOSED),
        Route(BAD_BRANCH, "ChooseCalling CallParts DiagnoseVariants VariantsDone", STATS),
    ),
    "ScatteredCallOutOfMemoryTwice": (
        ("FAILED", "OUT_OF_MEMORY", TOO_LITTLE_MEMORY),
        Route(
            BAD_BRANCH,
            "ChooseCalling CallParts CallVariants DiagnoseVariants RetryVariants CallVariants DiagnoseVariants"
            " RetryVariants VariantsDone",
            STATS,
        ),
    ),
}

# cases with several failures in one run
ALIGNED_TWICE = (
    "ChooseForm AlignReads DiagnoseAlignment RetryAlignment AlignReads DiagnoseAlignment RetryAlignment AlignReads"
    " AnalyzeAlignment BuildReport RecordRun RunComplete RunSucceeded"
)
ALIGNED_THREE_TIMES = (
    "ChooseForm AlignReads DiagnoseAlignment RetryAlignment AlignReads DiagnoseAlignment RetryAlignment AlignReads"
    " DiagnoseAlignment RetryAlignment RecordRun RunComplete RunFailed"
)
VARIANTS_TWICE = (
    "ChooseCalling CallVariants DiagnoseVariants RetryVariants CallVariants AnnotateVariants DiagnoseVariants"
    " RetryVariants AnnotateVariants VariantsDone"
)
OTHERS: dict[str, tuple[tuple[str, ...], Route]] = {
    "MemoryThenSpot": (("SUCCEEDED",), Route(ALIGNED_TWICE, VARIANTS, STATS)),
    "ThreeTriesAreAll": (
        ("FAILED", "IMAGE_PULL", "The image could not be pulled: CannotPullContainerError: manifest unknown"),
        Route(ALIGNED_THREE_TIMES),
    ),
    "ThrottledForGood": (
        ("FAILED", "THROTTLED", "AWS Batch refused the job because of too many requests."),
        GAVE_UP_LATER["align"],
    ),
    "ServerBusyTwentyTimes": (("SUCCEEDED",), GOOD),
    "TwoKindsOfApiError": (("SUCCEEDED",), GOOD),
    "CallThenAnnotate": (("SUCCEEDED",), GOOD._replace(variants=VARIANTS_TWICE)),
    "CallThenAnnotateGivesUp": (
        ("FAILED", "TOOL_FAILED", "The tool ended with exit code 1"),
        Route(
            BAD_BRANCH,
            "ChooseCalling CallVariants DiagnoseVariants RetryVariants CallVariants AnnotateVariants DiagnoseVariants"
            " RetryVariants VariantsDone",
            STATS,
        ),
    ),
    "BothBranchesAgain": (
        ("SUCCEEDED",),
        Route(GOOD.top, SECOND_TRY["call"].variants, SECOND_TRY["collect"].stats),
    ),
    "BothBranchesGiveUp": (
        ("FAILED", "BAD_INPUT.TRUNCATED", "NA12878_R2.fastq.gz is truncated: its gzip data has no end"),
        Route(BAD_BRANCH, GAVE_UP["call"].variants, GAVE_UP["collect"].stats),
    ),
    "BothBranchesUndiagnosed": (
        ("FAILED", "INTERNAL", NOT_DIAGNOSED),
        Route(BAD_BRANCH, UNDIAGNOSED["annotate"].variants, UNDIAGNOSED["collect"].stats),
    ),
    "EveryStepAgain": (
        ("SUCCEEDED",),
        Route(
            "ChooseForm AlignReads DiagnoseAlignment RetryAlignment AlignReads AnalyzeAlignment"
            " BuildReport DiagnoseReport"
            " RetryReport BuildReport RecordRun RunComplete RunSucceeded",
            VARIANTS_TWICE,
            SECOND_TRY["collect"].stats,
        ),
    ),
    "StatsAndReportGiveUp": (
        ("FAILED", "TOOL_FAILED", "The tool ended with exit code 1"),
        Route(GAVE_UP["compose"].top, VARIANTS, GAVE_UP["collect"].stats),
    ),
    "PlanWithoutForm": (("SUCCEEDED",), GOOD),
    "DoctorBusy": (("SUCCEEDED",), SECOND_TRY["align"]),
    "DoctorHungAndLost": (("SUCCEEDED",), SECOND_TRY["align"]),
    "DoctorBusyForGood": (("FAILED", "INTERNAL", NOT_DIAGNOSED), UNDIAGNOSED["align"]),
    "RecordBusy": (("SUCCEEDED",), GOOD),
    "RecordHungAndLost": (("SUCCEEDED",), GOOD),
    "NotRecorded": (
        ("FAILED", "NOT_RECORDED", NOT_RECORDED),
        GOOD._replace(top="ChooseForm AlignReads AnalyzeAlignment BuildReport RecordRun RunNotRecorded"),
    ),
    "NotRecordedWhileBusy": (
        ("FAILED", "NOT_RECORDED", NOT_RECORDED),
        GOOD._replace(top="ChooseForm AlignReads AnalyzeAlignment BuildReport RecordRun RunNotRecorded"),
    ),
    "FailedAndNotRecorded": (
        ("FAILED", "NOT_RECORDED", NOT_RECORDED),
        Route("ChooseForm AlignReads DiagnoseAlignment RetryAlignment RecordRun RunNotRecorded"),
    ),
}
