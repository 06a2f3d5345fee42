"""Use the README as the first page, and handle links to files outside the documentation."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

_ROOT = Path(__file__).parent.parent.parent
_PAGES = {"README.md": "index.md", "CHANGELOG.md": "changelog.md"}
_LINK = re.compile(r"\[([^\]]*)\]\(\.\./([^)#\s]+)(#[^)\s]*)?\)")
_LOADED = re.compile(r"<(?:script|link|img|iframe|source)\b[^>]*\b(?:src|href)=[\"']?(?:https?:)?//[^>]*>")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    readme = (_ROOT / "README.md").read_text(encoding="utf-8")
    content = re.sub(r"\]\((?!\w+:)([^)]+)\)", r"](../\1)", readme).replace("](../docs/", "](")
    files.append(File.generated(config, "index.md", content=content))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace links to repository files by their names, because the repository's URL is unknown."""
    return _LINK.sub(_rewritten, markdown)


def on_post_page(output: str, page: Any, **_: Any) -> str:
    if found := _LOADED.search(output):
        raise PluginError(f"{page.file.src_uri} would load an external resource: {found[0]}")
    return output


def _rewritten(link: re.Match[str]) -> str:
    text, path, anchor = link.groups()
    if path in _PAGES:
        return f"[{text}]({_PAGES[path]}{anchor or ''})"
    if not (_ROOT / path).exists():
        raise PluginError(f"{path} does not exist")
    return text if text.strip("`") == path else f"{text} (`{path}`)"
