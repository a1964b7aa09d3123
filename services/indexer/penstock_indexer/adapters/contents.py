"""Uploaded documents in object storage."""

import asyncio

from penstock_common.contracts.documents import content_context
from penstock_common.objects import ObjectMissing, Objects
from penstock_common.sealing import Sealer
from penstock_indexer.domain.errors import ContentMissing
from penstock_indexer.ports import Claimed


class SealedContents:
    """Opens what api sealed."""

    def __init__(self, objects: Objects, sealer: Sealer) -> None:
        self.objects, self.sealer = objects, sealer

    async def read(self, claimed: Claimed) -> bytes:
        """The content as it was uploaded. Raises ContentMissing, SubjectErased, ObjectsUnavailable."""
        try:
            sealed = await self.objects.get(claimed.object_key)
        except ObjectMissing as error:
            raise ContentMissing from error
        return await asyncio.to_thread(self.sealer.open, content_context(claimed.id), sealed)
