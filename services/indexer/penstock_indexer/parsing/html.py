"""The readable text of an HTML page."""

import re

from selectolax.lexbor import LexborHTMLParser

from penstock_indexer.parsing.plain import decoded

CHARSET = re.compile(rb"""<meta[^>]{0,200}charset\s{0,5}=\s{0,5}["']?([A-Za-z0-9_-]{1,40})""", re.IGNORECASE)
UNSEEN = ["script", "style", "noscript", "template", "svg", "iframe", "object", "head"]
BLOCK = re.compile(
    "address|article|aside|blockquote|body|d[dlt]|details|dialog|div|fieldset|figcaption|figure|footer|form|h[1-6]|hr"
    "|header|li|main|nav|ol|p|pre|section|summary|table|t(?:body|foot|head|r)|ul"
)
SPACE = re.compile(r"\s+")


def text_of(content: bytes) -> str:
    """Blocks as paragraphs, cells of a row side by side, scripts and styles left out."""
    found = CHARSET.search(content[:2048])
    tree = LexborHTMLParser(decoded(content, found.group(1).decode() if found else ""))
    title = tree.css_first("title")
    parts = [SPACE.sub(" ", title.text()).strip(), "\n\n"] if title else []
    tree.strip_tags(UNSEEN)
    for node in tree.root.traverse(include_text=True) if tree.root else ():
        if BLOCK.fullmatch(node.tag or ""):
            parts.append("\n\n")
        elif node.tag == "br":
            parts.append("\n")
        elif node.tag in ("td", "th"):
            parts.append(" ")
        elif node.tag == "-text":
            parts.append(SPACE.sub(" ", node.text_content or ""))
    return _joined("".join(parts))


def _joined(text: str) -> str:
    lines = (line.strip() for line in text.split("\n"))
    return "\n".join(lines)
