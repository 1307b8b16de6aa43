# The runner alone, without torch and onnx: reads the pictures of a mounted folder, as a user without rights.
#
#     docker build --tag mnist-edge .
#     docker run --rm --network none --read-only --volume "$PWD/examples:/pictures:ro" mnist-edge

FROM python:3.11-slim AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE constraints.txt ./
COPY mnist_edge ./mnist_edge
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir --constraint constraints.txt .

FROM python:3.11-slim
COPY --from=build /venv /venv
USER 65534:65534
WORKDIR /pictures
ENTRYPOINT ["/venv/bin/mnist-edge"]
CMD ["predict", "."]
