"""What would lose lines or edits on this machine: rotation by copying, single mounted files, forgetful disks."""

import pytest

from logship.checks import surroundings
from logship.checks.surroundings import Rotation, rotations_of
from logship.settings import loader

DEBIAN = """
# see "man logrotate" for details
weekly
rotate 4
create
include %s
# system-specific logs may also be configured here.
"""
NGINX = """
/var/log/nginx/*.log {
	daily
	rotate 14
	compress
	delaycompress
	create 0640 www-data adm
	prerotate
		if [ -d /etc/logrotate.d/httpd-prerotate ]; then \\
			run-parts /etc/logrotate.d/httpd-prerotate; \\
		fi
	endscript
	postrotate
		copytruncate
		invoke-rc.d nginx rotate >/dev/null 2>&1
	endscript
}
"""


def entry(text):
    """Return the first entry of a text."""
    return next(rotations_of([("x", text)]))


def test_debians_entry_for_nginx_is_fine():
    """What stands in its scripts is no directive."""
    found = entry(NGINX)
    assert found.flags == frozenset()
    assert found.words == {"rotate": "14"}
    assert found.covers("/var/log/nginx/shop.log")
    assert not found.covers("/var/log/nginx/sub/shop.log")
    assert not found.covers("/var/log/apache2/shop.log")


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ("/a.log {\n copytruncate\n}", {"copytruncate"}),
        ("/a.log { copytruncate }", {"copytruncate"}),
        ('"/a.log" /b.log\n{\n  copytruncate\n}\n', {"copytruncate"}),
        ("copytruncate\n/a.log {\n}", {"copytruncate"}),
        ("copytruncate\n/a.log {\n nocopytruncate\n}", set()),
        ("/b.log {\n copytruncate\n}\n/a.log {\n}", set()),
        ("/b.log {\n shred\n}\n/a.log {\n rotate=0\n}", set()),
        ("/a.log {\n # copytruncate\n}", set()),
    ],
)
def test_directives_are_found_wherever_they_may_stand(text, flags):
    """In an entry, before it, on one line with it, taken back, in a comment."""
    [found] = [each for each in rotations_of([("x", text)]) if each.covers("/a.log")]
    assert found.flags == frozenset(flags)


def configuration(tmp_path, path="/var/log/nginx/access.log"):
    text = f"state_dir: /srv/state\nsources: [{{path: {path}, site: 'https://example.com', format: combined}}]"
    loaded, _ = loader.read(text, str(tmp_path / "logship.yaml"), {})
    return loaded


@pytest.mark.parametrize(
    ("directive", "told"),
    [
        ("copytruncate", "lines written between copy and truncation are lost"),
        ("copy", "by copying"),
        ("shred", "overwrites"),
        ("rotate 0", "by removing it"),
        ("olddir /srv/old", "into /srv/old, where logship does not look"),
        ("rotate 14", None),
        ("olddir ./old", None),
    ],
)
def test_a_rotation_that_loses_lines_is_told(tmp_path, directive, told):
    """With the file that says so, and what to do; one that does not is not spoken of."""
    included = tmp_path / "logrotate.d"
    included.mkdir()
    (included / "nginx").write_text(NGINX.replace("daily", directive, 1))
    (tmp_path / "logrotate.conf").write_text(DEBIAN % included)
    found = list(surroundings.warnings(configuration(tmp_path), logrotate=tmp_path / "logrotate.conf", mountinfo="/no"))
    if directive == "rotate 0":
        (included / "nginx").write_text(NGINX.replace("rotate 14", "rotate 0"))
        found = list(
            surroundings.warnings(configuration(tmp_path), logrotate=tmp_path / "logrotate.conf", mountinfo="/no")
        )
    assert [each.where for each in found] == ["sources[0].path[0]"] * (told is not None)
    assert all(told in each.message and str(included) in each.message and each.warning for each in found)


MOUNTINFO = r"""
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:26 / /srv rw - tmpfs tmpfs rw
31 22 254:0 /host/access.log /var/log/nginx/access.log ro,relatime - ext4 /dev/vda rw
32 22 0:50 / /mnt/web\040logs rw - nfs4 server:/logs rw
33 22 254:0 /x.yaml {config} ro - ext4 /dev/vda rw
"""


def test_mounts_are_judged(tmp_path):
    """A configuration and a log mounted alone, a state directory in memory, a log on the network."""
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTINFO.replace("{config}", str(tmp_path / "logship.yaml")))
    told = [
        str(each)
        for each in surroundings.warnings(configuration(tmp_path), logrotate=tmp_path / "no", mountinfo=str(mounts))
    ]
    assert "an edit that replaces the file is never seen" in told[0]
    assert told[1].startswith("state_dir: warning: /srv/state is on a tmpfs")
    assert "after a rotation it is still the old file" in told[2]
    loaded = configuration(tmp_path, '"/mnt/web logs/a.log"')
    [*_, last] = surroundings.warnings(loaded, logrotate=tmp_path / "no", mountinfo=str(mounts))
    assert "is on nfs4, which tells nobody" in last.message


def test_this_machine_can_be_looked_at(tmp_path):
    """Its own logrotate and mounts, whatever they are, are read without a fault."""
    assert isinstance(list(surroundings.warnings(configuration(tmp_path))), list)


def test_an_entry_without_paths_covers_nothing():
    """Nothing is guessed."""
    assert not Rotation("x").covers("/a.log")
