"""Each file under src has its test, of the mirrored name."""

from pathlib import Path

ROOT = Path(__file__).parents[1]

WHOLE_FOLDERS = {
    "services/conformance/cases": "tests/services/conformance/test_cases.py: each case, twice",
}
EXCEPTIONS = {
    "dul/streams.py": "tests/dul/test_transport.py: both adapters pass the same tests",
    "dul/identity.py": "two constants",
    "dul/timers.py": "a Struct of defaults",
    "dul/effects.py": "six Structs; tests/dul/test_actions.py sees which action asks for which",
    "dul/primitives.py": "seven Structs; tests/dul/test_actions.py sees which action issues which",
    "dul/observation.py": "a few Structs; tests/dul/test_transport.py observes an association",
    "dul/errors.py": "a tree of classes; tests/dul/test_decode.py sees which is raised for what",
    "dul/decode_user_information.py": "a part of the decoder; tests/dul/test_decode.py",
    "dul/items.py": "a part of the decoder; tests/dul/test_decode.py",
    "services/conformance/building.py": "tests/properties/test_bad_input.py: every builder, and what the core answers",
    "services/conformance/scripts_accept.py": "tests/services/conformance/test_scripts.py: each script",
    "services/conformance/scripts_association.py": "tests/services/conformance/test_scripts.py: each script",
    "services/conformance/scripts_contexts.py": "tests/services/conformance/test_scripts.py: each script",
    "services/conformance/scripts_data.py": "tests/services/conformance/test_scripts.py: each script",
    "services/conformance/scripts_operations.py": "tests/services/conformance/test_scripts.py: each script",
    "services/conformance/scripts_release.py": "tests/services/conformance/test_scripts.py: each script",
    "services/conformance/scripts_responses.py": "tests/services/conformance/test_scripts.py: each script",
    "services/conditions.py": "a few Structs; tests/services/query/test_matching.py describes keys with them",
    "services/query/dates.py": "a part of matching; tests/services/query/test_matching.py",
    "services/query/person_names.py": "a part of matching; tests/services/query/test_matching.py",
    "services/query/wildcards.py": "a part of matching; tests/services/query/test_matching.py",
    "services/instance_file.py": "tests/services/test_send.py sends files of every kind",
    "services/server/program.py": "tests/services/server/test_server.py and tests/services/cli/test_server.py run it",
    "services/server/children.py": "tests/services/server/test_supervisor.py starts, kills and ends them",
    "services/server/worker.py": "tests/services/server/test_supervisor.py: it is half of that",
    "services/server/opening.py": "what both kinds of process open; tests/services/server/test_server.py",
    "services/server/telling.py": "tests/services/server/test_server.py reads the log and asks for the status",
    "services/server/archive_index.py": "tests/interop/test_story.py asks a whole server",
    "services/archive/commits.py": "what an archive waits for; tests/services/archive/test_archive_under_way.py",
    "services/archive/layout.py": "a part of the memory; tests/services/archive/test_layouts.py",
    "services/archive/index/schema.py": "tests/services/archive/index/test_migrate.py holds it equal to the migrations",
    "services/archive/index/migrations/env.py": "tests/services/archive/index/test_migrate.py runs it",
    "services/archive/index/migrations/versions/revision_0001.py": "tests/services/archive/index/test_migrate.py",
    "services/archive/index/migrations/versions/revision_0002.py": "tests/services/archive/index/test_migrate.py",
    "services/retrieve/holdings.py": "a protocol",
    "services/archive/disk.py": "the system calls by name; tests/faults/ replaces each of them",
    "services/archive/frames.py": "a part of the scanner; tests/services/archive/test_scanner.py",
    "services/archive/kept_values.py": "a part of the scanner; tests/services/archive/test_scanner.py",
    "services/archive/invalid_data_set.py": "a tree of classes; tests/services/archive/test_scanner.py",
}
"""Files whose test has another name, or that need none, and why."""


def test_every_source_file_has_its_test() -> None:
    sources = [str(file.relative_to(ROOT / "src")) for file in sorted((ROOT / "src").rglob("*.py"))]
    missing = [
        f"src/{source} wants {_test_of(source)}"
        for source in sources
        if not source.endswith("__init__.py")
        and source not in EXCEPTIONS
        and str(Path(source).parent) not in WHOLE_FOLDERS
        and not (ROOT / _test_of(source)).exists()
    ]
    assert not missing, "no test for:\n" + "\n".join(missing)


def test_no_exception_is_out_of_date() -> None:
    out_of_date = [
        source
        for source in EXCEPTIONS
        if not (ROOT / "src" / source).exists() or (ROOT / _test_of(source)).exists()
    ]
    assert not out_of_date, f"not there, or tested under its own name by now: {out_of_date}"


def _test_of(source: str) -> str:
    path = Path("tests") / source
    return str(path.with_name(f"test_{path.name}"))
