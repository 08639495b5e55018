"""A graph of services, in the form of BentoML's example `inference-graph`: two writers and a judge."""

import asyncio

import bentoml


@bentoml.service
class Loud:
    @bentoml.api
    def write(self, sentence: str) -> str:
        return sentence.upper()


@bentoml.service
class Long:
    @bentoml.api
    def write(self, sentence: str) -> str:
        return " ".join([sentence] * 3)


@bentoml.service
class Judge:
    @bentoml.api
    def score(self, sentence: str) -> float:
        return len(sentence) / 100


@bentoml.service
class Graph:
    loud = bentoml.depends(Loud)
    long = bentoml.depends(Long)
    judge = bentoml.depends(Judge)

    @bentoml.api
    async def compare(self, sentence: str = "I have an idea!") -> list[dict[str, str | float]]:
        written = await asyncio.gather(
            self.loud.to_async.write(sentence), self.long.to_async.write(sentence)
        )
        scores = [await self.judge.to_async.score(text) for text in written]
        return [{"text": t, "score": s} for t, s in zip(written, scores, strict=True)]
