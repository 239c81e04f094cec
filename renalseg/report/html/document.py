"""The frame of every page: one HTML file that opens from disk and loads nothing, from anywhere."""

from __future__ import annotations

from html import escape
from importlib.resources import files
from string import Template

_POLICY = (
    "default-src 'none'; {scripts}style-src 'unsafe-inline'; img-src data: blob:; "
    "connect-src data: blob:; worker-src blob:; base-uri 'none'; form-action 'none'"
)
_FRAME = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="robots" content="noindex">
<meta http-equiv="Content-Security-Policy" content="$policy">
<title>$title</title>
<style>
$style
</style>
</head>
<body>
$body
</body>
</html>
""")


def document(title: str, body: str, *, style: str = "", scripts: bool = False) -> str:
    """Puts the content of a page into its frame.

    Args:
        title: Plain text.
        body: HTML.
        style: Rules of this page, beyond those of all pages.
        scripts: Whether the page may run the scripts that it holds.
    """
    return _FRAME.substitute(
        policy=_POLICY.format(scripts="script-src 'unsafe-inline'; " if scripts else ""),
        title=escape(title),
        style=own_file("page.css") + style,
        body=body,
    )


def own_file(name: str) -> str:
    """Returns the text of a file beside this module."""
    return files("renalseg.report.html").joinpath(name).read_text(encoding="utf-8")
