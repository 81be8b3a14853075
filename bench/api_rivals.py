"""What the JSON API is measured beside; runs in .venv-bench.

`fastapi`: the same two requests with FastAPI and asyncpg and nothing else: a key looked
up by its digest, a job and its event inserted in one transaction, a job read.
`python bench/api_rivals.py gradio PORT`: a Gradio app whose function does nothing.
"""

import hashlib
import json
import os
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

TABLES = """
CREATE TABLE IF NOT EXISTS keys (id serial PRIMARY KEY, digest text UNIQUE);
CREATE TABLE IF NOT EXISTS jobs (
    id uuid PRIMARY KEY, key_id int REFERENCES keys, endpoint text, status text,
    input jsonb, metadata jsonb, created_at timestamptz DEFAULT now());
CREATE TABLE IF NOT EXISTS events (
    id bigserial PRIMARY KEY, job_id uuid REFERENCES jobs, status text,
    created_at timestamptz DEFAULT now());
"""


def fastapi() -> Any:
    """Return the application; uvicorn calls this in every process."""
    import asyncpg  # noqa: PLC0415 - only in .venv-bench
    from fastapi import FastAPI  # noqa: PLC0415

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        app.pool = await asyncpg.create_pool(os.environ["BENCH_DSN"], max_size=10)
        yield
        await app.pool.close()

    app = FastAPI(lifespan=lifespan)
    _routes(app)
    return app


async def _key(connection: Any, authorization: str) -> int:
    from fastapi import HTTPException  # noqa: PLC0415

    digest = hashlib.sha256(authorization.encode()).hexdigest()
    key_id = await connection.fetchval("SELECT id FROM keys WHERE digest=$1", digest)
    if key_id is None:
        raise HTTPException(401)
    return int(key_id)


def _routes(app: Any) -> None:
    from fastapi import Header, HTTPException  # noqa: PLC0415
    from pydantic import BaseModel  # noqa: PLC0415

    class JobIn(BaseModel):
        endpoint: str
        input: dict[str, Any]
        metadata: dict[str, Any] = {}

    @app.post("/jobs", status_code=201)
    async def create(body: JobIn, authorization: str = Header()) -> dict[str, Any]:
        pk = uuid.uuid4()
        async with app.pool.acquire() as connection:
            key = await _key(connection, authorization)
            async with connection.transaction():
                await connection.execute(
                    "INSERT INTO jobs VALUES ($1, $2, $3, 'PENDING', $4, $5)",
                    *(pk, key, body.endpoint),
                    *(json.dumps(body.input), json.dumps(body.metadata)),
                )
                await connection.execute(
                    "INSERT INTO events (job_id, status) VALUES ($1, 'PENDING')", pk
                )
        return {"id": str(pk), "endpoint": body.endpoint, "status": "PENDING"}

    @app.get("/jobs/{pk}")
    async def read(pk: uuid.UUID, authorization: str = Header()) -> dict[str, Any]:
        async with app.pool.acquire() as connection:
            key = await _key(connection, authorization)
            query = "SELECT * FROM jobs WHERE id=$1 AND key_id=$2"
            row = await connection.fetchrow(query, pk, key)
        if row is None:
            raise HTTPException(404)
        return dict(row) | {"input": json.loads(row["input"])}


def gradio(port: int) -> None:
    """Serve a Gradio app."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    import gradio as library  # noqa: PLC0415 - only in .venv-bench

    app = library.Interface(lambda text: text, "text", "text", api_name="echo")
    app.queue(max_size=None).launch(
        server_name="127.0.0.1", server_port=port, quiet=True
    )


if __name__ == "__main__":
    gradio(int(sys.argv[2]))
