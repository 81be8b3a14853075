# The web side: web, tasks and beat are this image with different commands.
FROM python:3.12-slim AS build
WORKDIR /app
COPY requirements/web.txt requirements/web.txt
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir --no-deps --require-hashes -r requirements/web.txt

FROM python:3.12-slim
ENV PATH=/venv/bin:$PATH PYTHONPATH=/app/client PYTHONUNBUFFERED=1 DATA_DIR=/data STATIC_ROOT=/app/staticfiles HOST=0.0.0.0
RUN useradd --create-home --uid 10001 slipway && mkdir /data && chown slipway /data
WORKDIR /app
COPY --from=build /venv /venv
COPY manage.py pyproject.toml ./
COPY webapp webapp
COPY jobs jobs
COPY client client
COPY templates templates
COPY static static
COPY samples samples
COPY deploy deploy
RUN SECRET_KEY=build-only DATA_DIR=/tmp/build python manage.py collectstatic --noinput >/dev/null
USER slipway
VOLUME /data
EXPOSE 8000
CMD ["deploy/web"]
