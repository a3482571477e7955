"""Losses for each kind of answer, by PyTorch's own functions and autograd, row by row where the tree
takes many rows at once."""

import torch
import torch.nn.functional as F
from torch.distributions import Bernoulli, kl_divergence

NONE = -100


def pattern(key, *shape):
    """Numbers within +-2 that look random: multiples of 1/128."""
    count = torch.Size(shape).numel()
    values = (torch.arange(count) * 7919 + key * 104729) % 509 - 254
    return (values.double() / 128).reshape(shape)


def case(name, temperature, alpha, total, soft, hard, student, smoothing=0.0):
    total.backward()
    return {
        "name": name,
        "temperature": temperature,
        "alpha": alpha,
        "label_smoothing": smoothing,
        "total": total.item(),
        "soft": soft.item(),
        "hard": hard.item(),
        "gradient": student.grad.flatten().tolist(),
    }


def mixed(name, temperature, alpha, soft, hard):
    weight = 1 if name in ("mse", "smooth_l1", "cosine") else temperature**2
    return alpha * weight * soft + (1 - alpha) * hard


POSITIONS = (2, 3, 2)  # two samples of [3, 2] positions
CLASSES = 5
# Of twelve rows two count in nothing, and two more have no label.
MASK = [1, 1, 0, 1, 1, 1, 1, 1, 1, 0, 1, 1]
POSITION_LABELS = [4, 0, 3, NONE, 1, 2, 2, 0, NONE, 1, 3, 4]


def row_term(name, student, teacher, label, t, weights):
    """One row's soft term, from probabilities; None if the row has no part in it."""
    if name == "mse":
        return ((student - teacher) ** 2).mean()
    if name == "logit_standardized":
        student, teacher = ((x - x.mean()) / (1e-7 + x.std()) for x in (student, teacher))
    p, q = (teacher / t).softmax(0), (student / t).softmax(0)
    if name in ("kd", "logit_standardized"):
        return (p * (p / q).log()).sum()
    if name == "reverse_kl":
        return (q * (q / p).log()).sum()
    if name == "jsd":
        m = (p + q) / 2
        return ((p * (p / m).log()).sum() + (q * (q / m).log()).sum()) / 2
    if label == NONE:
        return None
    tckd = p[label] * (p[label] / q[label]).log()
    tckd = tckd + (1 - p[label]) * ((1 - p[label]) / (1 - q[label])).log()
    others = [i for i in range(CLASSES) if i != label]
    p, q = p[others] / p[others].sum(), q[others] / q[others].sum()
    return weights[0] * tckd + weights[1] * (p * (p / q).log()).sum()


def position_case(name, t, alpha, k, weights):
    student = pattern(1, *POSITIONS, CLASSES).requires_grad_(True)
    teacher = pattern(2, *POSITIONS, CLASSES)
    s, z = student.reshape(-1, CLASSES), teacher.reshape(-1, CLASSES)
    soft, hard, top = [], [], []
    for row, label in enumerate(POSITION_LABELS):
        a, b = s[row], z[row]
        if k > 0:
            # As a teacher sends it: the k largest, and the sum of the rest.
            p, q = (b / t).softmax(0), (a / t).softmax(0)
            indexes = p.topk(k).indices
            rest = [i for i in range(CLASSES) if i not in indexes.tolist()]
            top.append((p[indexes].tolist(), indexes.tolist(), p[rest].sum().item()))
            b = torch.cat([p[indexes], p[rest].sum().view(1)]).log() * t
            a = torch.cat([q[indexes], q[rest].sum().view(1)]).log() * t
        if not MASK[row]:
            continue
        term = row_term(name, a, b, label, t, weights)
        if term is not None:
            soft.append(term)
        if label != NONE:
            hard.append(F.cross_entropy(s[row].unsqueeze(0), torch.tensor([label])))
    soft, hard = sum(soft) / len(soft), sum(hard) / len(hard)
    made = case(name, t, alpha, mixed(name, t, alpha, soft, hard), soft, hard, student)
    if k > 0:
        made["probabilities"], made["class_indexes"], made["tail_mass"] = map(list, zip(*top))
    return made


LABELS = 4
# The second row's bits are not known, and the fourth row counts in nothing.
BITS = [[1, 0, 0, 1], [0, 0, 0, 0], [0, 1, 1, 0], [1, 1, 1, 1], [0, 0, 0, 0]]
KNOWN = [0, 2, 4]
COUNTED = [0, 1, 2, 4]


def multilabel_case(name, t, alpha, smoothing):
    student = pattern(3, len(BITS), LABELS).requires_grad_(True)
    s, z = student[COUNTED], pattern(4, len(BITS), LABELS)[COUNTED]
    p, q = Bernoulli(logits=z / t), Bernoulli(logits=s / t)
    if name == "mse":
        soft = F.mse_loss(s, z)
    elif name == "kd":
        soft = kl_divergence(p, q).mean()
    elif name == "reverse_kl":
        soft = kl_divergence(q, p).mean()
    else:
        m = Bernoulli(probs=(p.probs + q.probs) / 2)
        soft = (kl_divergence(p, m) + kl_divergence(q, m)).mean() / 2
    wanted = torch.tensor(BITS).double()[KNOWN] * (1 - smoothing) + smoothing / 2
    hard = F.binary_cross_entropy(student[KNOWN].sigmoid(), wanted)
    total = mixed(name, t, alpha, soft, hard)
    return case(name, t, alpha, total, soft, hard, student, smoothing)


VALUES = 3
VALUE_TARGETS = [[1.5, -0.25, 0.5], [0.0, 0.0, 0.0], [-1.0, 0.75, 2.0], [4.0, 4.0, 4.0], [0.5, 1.0, -3.0]]


def value_term(name, student, wanted):
    if name == "mse":
        return F.mse_loss(student, wanted)
    if name == "smooth_l1":
        return F.smooth_l1_loss(student, wanted)
    return F.cosine_embedding_loss(student, wanted, torch.ones(len(student)))


def value_case(name, t, alpha):
    student = pattern(5, len(VALUE_TARGETS), VALUES).requires_grad_(True)
    teacher = pattern(6, len(VALUE_TARGETS), VALUES)
    soft = value_term(name, student[COUNTED], teacher[COUNTED])
    hard = value_term(name, student[KNOWN], torch.tensor(VALUE_TARGETS).double()[KNOWN])
    return case(name, t, alpha, mixed(name, t, alpha, soft, hard), soft, hard, student)


def answer_losses():
    weights = [1.0, 8.0]
    settings = ((1.0, 0.5), (3.0, 0.9))
    names = ("kd", "dkd", "logit_standardized", "mse", "reverse_kl", "jsd")
    return {
        "positions": {
            "shape": [*POSITIONS, CLASSES],
            "student": pattern(1, *POSITIONS, CLASSES).flatten().tolist(),
            "teacher": pattern(2, *POSITIONS, CLASSES).flatten().tolist(),
            "labels": POSITION_LABELS,
            "mask": MASK,
            "dkd_weights": weights,
            "cases": [position_case(n, t, a, 0, weights) for n in names for t, a in settings],
            "top_k_cases": [
                position_case(n, 2.0, 0.7, k, weights)
                for n in ("kd", "reverse_kl", "jsd")
                for k in (1, 3)
            ],
        },
        "multilabel": {
            "shape": [len(BITS), LABELS],
            "student": pattern(3, len(BITS), LABELS).flatten().tolist(),
            "teacher": pattern(4, len(BITS), LABELS).flatten().tolist(),
            "labels": sum(BITS, []),
            "known_rows": KNOWN,
            "mask": [int(row in COUNTED) for row in range(len(BITS))],
            "cases": [
                multilabel_case(n, t, a, smoothing)
                for n in ("kd", "mse", "reverse_kl", "jsd")
                for t, a, smoothing in ((1.0, 0.5, 0.0), (3.0, 0.9, 0.1))
            ],
        },
        "values": {
            "shape": [len(VALUE_TARGETS), VALUES],
            "student": pattern(5, len(VALUE_TARGETS), VALUES).flatten().tolist(),
            "teacher": pattern(6, len(VALUE_TARGETS), VALUES).flatten().tolist(),
            "labels": sum(VALUE_TARGETS, []),
            "known_rows": KNOWN,
            "mask": [int(row in COUNTED) for row in range(len(VALUE_TARGETS))],
            "cases": [
                value_case(n, t, a) for n in ("mse", "smooth_l1", "cosine") for t, a in settings
            ],
        },
    }
