# docker build -t paper_lenet .
# docker run --rm -v "$PWD/data:/data" -v "$PWD/outputs:/paper_lenet/outputs" paper_lenet train experiment=smoke
FROM python:3.12-slim
RUN apt-get update && apt-get install -y --no-install-recommends git make && rm -rf /var/lib/apt/lists/*
WORKDIR /paper_lenet
COPY . .
RUN make setup
# where data/MNIST/raw is mounted
ENV PAPER_LENET_DATA=/data
ENTRYPOINT [".venv/bin/python", "-m", "paper_lenet"]
CMD ["--help"]
