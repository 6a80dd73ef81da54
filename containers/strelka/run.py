"""Call germline variants with Strelka."""

from __future__ import annotations

from collections.abc import Sequence

from seqdrop.jobs import arguments, calling
from seqdrop.jobs.step import step


def main(argv: Sequence[str] | None = None) -> None:
    args = calling.parse_arguments(argv, __doc__)  # --sample --reference --intervals --bam in, --vcf out
    with step("call", args) as work:
        chosen = arguments.parse_options(args.args, "--exome")
        reference = work.fetch_reference(".fai")
        bam = work.fetch(args.bam, ".bai", name="sorted.bam")
        work.version("configureStrelkaGermlineWorkflow.py")
        words = ["--exome"] * chosen.exome
        if args.intervals:
            bed = calling.fetch_intervals(work, reference)
            work.run("bgzip", bed)
            work.run("tabix", "-p", "bed", f"{bed}.gz")
            words += ["--callRegions", f"{bed}.gz"]
        strelka = work / "strelka"  # can be neither moved nor configured twice
        work.run(
            "configureStrelkaGermlineWorkflow.py",
            "--bam",
            bam,
            "--referenceFasta",
            reference,
            *words,
            "--runDir",
            strelka,
        )
        gigabytes = max(4, work.memory // 1024)  # with less than 4 it fails
        work.run(strelka / "runWorkflow.py", "-m", "local", "-j", work.vcpus, "-g", gigabytes, "--quiet")
        calling.publish(work, strelka / "results/variants/variants.vcf.gz")


if __name__ == "__main__":
    main()
