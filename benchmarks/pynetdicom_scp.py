"""pynetdicom as a storage SCP, writing what it receives as it came: python -m benchmarks.pynetdicom_scp PORT DIR"""

import sys
from pathlib import Path
from typing import Any

from pynetdicom import AE, AllStoragePresentationContexts, evt


def main(port: int, directory: Path) -> None:
    """Serve until killed."""

    def keep(event: Any) -> int:
        # As pynetdicom's documentation recommends where speed counts: nothing is decoded.
        with (directory / event.request.AffectedSOPInstanceUID).open("wb") as file:
            file.write(event.encoded_dataset())
        return 0

    ae = AE("BENCH")
    ae.maximum_associations = 1000
    ae.maximum_pdu_size = 131072
    ae.supported_contexts = AllStoragePresentationContexts
    ae.add_supported_context("1.2.840.10008.1.1")
    ae.start_server(("127.0.0.1", port), evt_handlers=[(evt.EVT_C_STORE, keep)])


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
