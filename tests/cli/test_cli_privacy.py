"""``ufgraphfr privacy`` tells what a run promised."""


def test_it_prints_the_page_of_the_run(cli, toy, tmp_path) -> None:
    folder = tmp_path / "run"
    private = ("--set", "privacy.kind=central-jdp", "--set", "privacy.epsilon=2")
    more = ("--set", "privacy.delta=1e-4", "--set", "privacy.clip=0.5")
    ran = cli("run", toy, "--out", folder, *private, *more)
    assert ran.code == 0
    assert "(2, 1e-04)-joint differential privacy" in ran.out.replace("\n", " ")
    shown = cli("privacy", folder)
    assert shown.code == 0
    assert shown.out == (folder / "privacy.md").read_text()
    assert "epsilon = 2, delta = 1e-04" in shown.out


def test_without_a_guarantee_it_says_so(cli, toy, tmp_path) -> None:
    cli("run", toy, "--out", tmp_path / "run")
    shown = cli("privacy", tmp_path / "run")
    assert "No privacy guarantee" in shown.out
    assert "epsilon" not in shown.out


def test_a_folder_that_is_no_run_is_named(cli, tmp_path) -> None:
    ended = cli("privacy", tmp_path)
    assert ended.code == 2
    assert "is no run folder" in ended.err
