"""A stored baseline beside a run: is it of this machine, and what did it say?"""

from statistics import median

from pipeline.model.results import Baseline, BaselineRef, Machine


def stored_reference(stored: Baseline, machine: Machine) -> BaselineRef:
    """Return what a report shows of a stored baseline; its numbers are never judged by."""
    facts = sorted({*stored.machine.fingerprint, *machine.fingerprint})
    differences = tuple(
        f"{fact}: {there} there, {here} here"
        for fact in facts
        for there in (stored.machine.fingerprint.get(fact, "unknown"),)
        for here in (machine.fingerprint.get(fact, "unknown"),)
        if there != here
    )
    values = {
        sample.key: median(found)
        for sample in stored.samples
        if (found := [value for value in sample.values if value is not None])
    }
    return BaselineRef(
        name=stored.name,
        taken_at=stored.taken_at,
        same_machine=not differences,
        differences=differences,
        digest=stored.subject.digest,
        values=values,
    )
