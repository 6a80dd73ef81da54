"""Call germline variants with Strelka."""

from __future__ import annotations

from collections.abc import Sequence

from seqdrop.jobs import arguments, calling
from seqdrop.jobs.processes import Command
from seqdrop.jobs.step import step


def main(argv: Sequence[str] | None = None) -> None:
    """Call the variants of a run."""
    args = calling.parse_arguments(argv, __doc__)  # --sample --reference --intervals --bam in, --vcf out
    with step("call", args) as work:
        options = arguments.parse_options(args.args, "--exome")
        inputs = calling.fetch_inputs(work)
        work.version("configureStrelkaGermlineWorkflow.py")
        exome: Command = ["--exome"] if options.exome else []
        targets: Command = []
        if inputs.targets:
            work.run("bgzip", inputs.targets)
            work.run("tabix", "-p", "bed", f"{inputs.targets}.gz")
            targets = ["--callRegions", f"{inputs.targets}.gz"]
        run_dir = work / "strelka"  # it can be neither moved nor configured twice
        work.run("configureStrelkaGermlineWorkflow.py", "--bam", inputs.bam, "--referenceFasta", inputs.reference,
                 *exome, *targets, "--runDir", run_dir)  # fmt: skip
        gigabytes = max(4, work.memory // 1024)  # it fails with less than 4
        work.run(run_dir / "runWorkflow.py", "-m", "local", "-j", work.vcpus, "-g", gigabytes, "--quiet")
        calling.publish(work, run_dir / "results/variants/variants.vcf.gz")


if __name__ == "__main__":
    main()
