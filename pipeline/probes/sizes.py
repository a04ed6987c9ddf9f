"""How large the components say they are, just now: goroutines, and etcd's database."""

from pipeline.model.ports import Target
from pipeline.model.results import Reading
from pipeline.probes.scrape import fetch, plain
from pipeline.system.errors import NetworkError, ProbeError, StorageError
from pipeline.system.log import log

_GOROUTINES = "go_goroutines"
_DATABASE = "etcd_mvcc_db_total_size_in_bytes"


def sizes(target: Target) -> tuple[Reading, ...]:
    """Return `COMPONENT.goroutines` (1) and `etcd.db_bytes` (B).

    What a component does not say, or a component that does not answer, is absent.
    """
    found = []
    for component in target.metrics:
        try:
            text = b"\n" + fetch(target, component).encode()
        except (NetworkError, ProbeError, StorageError) as error:
            log.warning("%s does not say how large it is: %s", component, error)
            continue
        if (goroutines := plain(text, _GOROUTINES)) is not None:
            found.append(Reading(f"{component}.goroutines", goroutines, "1"))
        if component == "etcd" and (database := plain(text, _DATABASE)) is not None:
            found.append(Reading("etcd.db_bytes", database, "B"))
    return tuple(found)
