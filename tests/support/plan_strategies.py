"""Generate keys of FASTQs and choices for a run with hypothesis."""

from __future__ import annotations

from hypothesis import strategies as st
from seqdrop.plan import steps
from seqdrop.plan.choices import PRIORITIES, Choices
from seqdrop.plan.names import NAME

from support.hostile_names import HOSTILE

stems = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=80), st.text("ab1٢._- /\n", max_size=12))
endings = st.sampled_from(
    [
        "_R1.fastq.gz",
        "_2.fq",
        "_S1_L001_R1_001.fastq.gz",
        ".R2.fastq.gz",
        " R1.fq.gz",
        "-R2.fastq",
        ".1.FQ",
        "_r2.fq",
        "_R1_val_1.fq.gz",
        "_R2_trimmed.fastq",
        "_1.clean.fq",
        "_2P.fq.gz",
        "/R1.fastq.gz",
        "_L1_2.fq",
        "_L01_7_1.fq.gz",
        "_R1_002.fastq",
    ]
)
names = st.from_regex(NAME, fullmatch=True)
choices = st.builds(
    Choices,
    names,
    st.one_of(st.just(""), names),
    st.dictionaries(st.sampled_from(steps.names()), st.lists(st.text(max_size=8), max_size=3)),
    st.integers(1, 99),
    st.sampled_from(PRIORITIES),
)
