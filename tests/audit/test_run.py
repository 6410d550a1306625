"""An audit of a run folder from end to end."""

import builtins
import shutil

import pytest

from ufgraphfr.audit.report import read_audit
from ufgraphfr.audit.run import audit
from ufgraphfr.core.errors import InputError
from ufgraphfr.experiment import build, execute


@pytest.fixture
def folder(finished, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(finished("fedmf"), copy)
    return copy


def test_figures_and_plots_are_written_and_the_model_is_left_alone(folder):
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    done = audit(folder, ("support", "canaries"), rounds=2, victims=5)
    assert {line.attack for line in done.lines} == {"support", "canaries"}
    written = read_audit(folder / "audit.json")
    assert written["victims"] == 5
    assert len(written["figures"]) == len(done.lines)
    for name in ("audit.png", "audit-canaries.png"):
        assert (folder / name).read_bytes().startswith(b"\x89PNG")
    for name, content in before.items():
        assert (folder / name).read_bytes() == content


def test_compressed_uploads_are_attacked_and_hide_little(finished, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(finished("compressed"), copy)
    done = audit(copy, ("support", "attributes", "poisoning"), rounds=2, victims=5)
    assert {line.attack for line in done.lines} == {"support", "attributes", "poisoning"}
    exactly = [line for line in done.lines if "exactly" in line.finding.measure]
    # a guess among all profiles is right once in thousands of times
    assert [line.finding.value > 0.5 for line in exactly] == [True]


def test_without_matplotlib_there_are_no_plots_and_that_is_told(folder, monkeypatch, caplog):
    real = builtins.__import__

    def missing(name, *args, **kwargs):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    audit(folder, ("support",), rounds=1, victims=3)
    assert (folder / "audit.md").exists()
    assert not list(folder.glob("*.png"))
    assert any("ufgraphfr[plots]" in record.getMessage() for record in caplog.records)


def test_what_cannot_be_audited(folder, tmp_path):
    with pytest.raises(InputError, match=r"no attack 'suport': did you mean 'support'"):
        audit(folder, ("suport",))
    with pytest.raises(InputError, match="replay and watch at least one"):
        audit(folder, rounds=0)
    with pytest.raises(InputError, match="holds no finished run"):
        audit(tmp_path / "nowhere")
    central = tmp_path / "central"
    values = {"data": {"kind": "synthetic"}, "text": {"kind": "hashing"}}
    for _ in execute(build({**values, "algorithm": {"kind": "popularity"}}), central, device="cpu"):
        pass
    with pytest.raises(InputError, match="centralised baseline"):
        audit(central)
