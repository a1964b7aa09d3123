"""HTTP calls to addresses that somebody else chose: they can't reach inside (SSRF), and all they take is bounded."""

from penstock_common.guarded_http.client import GuardedHttp, ToolReply, ToolRequest
from penstock_common.guarded_http.policy import Policy

__all__ = ["GuardedHttp", "Policy", "ToolReply", "ToolRequest"]
