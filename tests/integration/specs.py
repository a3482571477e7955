"""RunSpecs for integration tests."""

DIGITS = """\
name: identity
seed: {seed}
dataset: {{name: digits, shard_size: 64}}
student: {{architecture: "{architecture}"}}
teacher: {{model: "{teacher}"}}
loss: {{alpha: {alpha}, temperature: 2}}
training:
  rounds: {rounds}
  replicas: {replicas}
  local_epochs: {local_epochs}
  batch_size: 32
  learning_rate: 0.05
{more}outer: {{optimizer: {outer}, learning_rate: {outer_rate}, momentum: {outer_momentum}}}
"""


def digits(teacher="", seed=1, architecture="mlp:64-48-10", alpha=0.9, rounds=5, local_epochs=8,
           nesterov=False, replicas=5, **training):
    """`training`: further keys of that group."""
    return DIGITS.format(seed=seed, architecture=architecture, teacher=teacher, alpha=alpha,
                         rounds=rounds, local_epochs=local_epochs, replicas=replicas,
                         more="".join(f"  {key}: {value}\n" for key, value in training.items()),
                         outer="nesterov" if nesterov else "sgd",
                         outer_rate=0.7 if nesterov else 1, outer_momentum=0.5 if nesterov else 0)
