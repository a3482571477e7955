#!/usr/bin/env python3
"""Makes the golden numbers of this folder with PyTorch, by its own functions and autograd.

  make_golden.py           write the files
  make_golden.py --check   compute anew and compare with the files; exit 1 if they differ

distillation_loss.json  alpha * T^2 * KL(batchmean) + (1 - alpha) * CE, its terms and its gradient
soft_losses.json        the other soft terms, label smoothing, and dense and top-k targets
top_k_loss.json         the same with KL over the k most probable classes and the sum of the others
unlabelled_loss.json    kd of samples of which some have no label
answer_losses.json      losses of classes by position, of several labels and of values; see answer_losses.py
answer_figures.json     what evaluations measure of these, by NumPy; see answer_figures.py
evaluation.json         accuracy, top 5, confusion, calibration, agreement and KL, by other means
sgd.json                torch.optim.SGD and AdamW with weight decay, clipping, max-norm, five steps
residual_networks.json  resnet8 and wrn-10-1: logits, running statistics and gradients of one step
sample_networks.json    mlp, transformer, gru and unet in each of their uses, likewise
small_networks.json     mobilenetv2, vit, dscnn and conv1d, likewise
log_mel.json            log-mel spectrograms, by NumPy
schedules.json          OneCycleLR, CosineAnnealingLR, MultiStepLR and LinearLR over one run
"""

import argparse
import json
import math
import pathlib
import sys

import torch
import torch.nn.functional as F

from answer_figures import answer_figures
from answer_losses import answer_losses
from log_mel import log_mel
from residual_networks import ResNet, WideResNet
from sample_networks import Gru, Mlp, Transformer, Unet
from small_networks import Conv1d, Dscnn, MobileNetV2, Vit

FOLDER = pathlib.Path(__file__).resolve().parent

# Multiples of 1/8 within +-16: exact in float32, so both precisions start from the same numbers.
STUDENT_LOGITS = [
    [0.5, -1.25, 2.0, 0.0, 0.125],
    [1.5, 1.5, 1.5, 1.5, 1.5],
    [-3.0, 4.5, 0.25, -0.5, 2.125],
    [10.0, -8.5, 3.0, 0.75, -16.0],
]
TEACHER_LOGITS = [
    [1.0, -2.0, 6.5, 0.5, -0.25],
    [3.0, 0.0, -1.0, 2.5, 0.75],
    [-2.0, 3.5, 3.0, -4.0, 1.0],
    [-12.0, 9.0, 2.5, 0.0, 15.5],
]
LABELS = [2, 0, 1, 3]
TEMPERATURES = [1.0, 2.0, 4.0, 20.0]
ALPHAS = [0.0, 0.5, 1.0]


def loss_case(temperature, alpha, dtype):
    student = torch.tensor(STUDENT_LOGITS, dtype=dtype, requires_grad=True)
    teacher = torch.tensor(TEACHER_LOGITS, dtype=dtype)
    labels = torch.tensor(LABELS)
    soft = F.kl_div(
        F.log_softmax(student / temperature, dim=1),
        F.softmax(teacher / temperature, dim=1),
        reduction="batchmean",
    )
    hard = F.cross_entropy(student, labels)
    total = alpha * temperature**2 * soft + (1 - alpha) * hard
    total.backward()
    return {
        "total": total.item(),
        "soft": soft.item(),
        "hard": hard.item(),
        "gradient": student.grad.tolist(),
    }


def distillation_loss():
    teacher = torch.tensor(TEACHER_LOGITS, dtype=torch.float64)
    return {
        "student_logits": STUDENT_LOGITS,
        "teacher_logits": TEACHER_LOGITS,
        "labels": LABELS,
        "soft_targets": [
            {"temperature": t, "probabilities": F.softmax(teacher / t, dim=1).tolist()}
            for t in TEMPERATURES
        ],
        "cases": [
            {
                "temperature": t,
                "alpha": a,
                "float64": loss_case(t, a, torch.float64),
                "float32": loss_case(t, a, torch.float32),
            }
            for t in TEMPERATURES
            for a in ALPHAS
        ],
    }


# Ten classes; no two of a teacher's row are equal. In the third row the student gives the teacher's
# least class exp(-30): 1 - sum is nothing there in float32.
TOP_K_STUDENT_LOGITS = [
    [0.5, -1.25, 2.0, 0.0, 0.125, -0.75, 1.0, 3.5, -2.0, 0.25],
    [1.5, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5],
    [-3.0, 4.5, 0.25, -0.5, 2.125, 14.0, -16.0, 1.0, 0.0, -1.0],
    [10.0, -8.5, 3.0, 0.75, -16.0, 12.0, -4.0, 2.0, -6.5, 8.0],
]
TOP_K_TEACHER_LOGITS = [
    [1.0, -2.0, 6.5, 0.5, -0.25, 2.0, -1.0, 4.25, 0.0, 3.0],
    [3.0, 0.0, -1.0, 2.5, 0.75, -0.5, 1.25, 2.0, -2.25, 0.25],
    [-2.0, 3.5, 3.0, -1.5, 1.0, 4.0, -3.0, 0.5, 2.0, -0.5],
    [-12.0, 9.0, 2.5, 0.0, 15.5, -15.0, 14.0, 1.0, 3.0, 7.5],
]
TOP_K_LABELS = [2, 9, 5, 3]
TOP_K_ALPHAS = [0.5, 1.0]


def top_k_targets(temperature, k):
    """What a teacher sends: float16 probabilities, their classes, and the float16 sum of the rest."""
    p = F.softmax(torch.tensor(TOP_K_TEACHER_LOGITS, dtype=torch.float64) / temperature, dim=1)
    values, indexes = torch.topk(p, k, dim=1)
    tail = p.scatter(1, indexes, 0.0).sum(dim=1)
    return values.half().double(), indexes, tail.half().double()


def top_k_case(temperature, k, alpha):
    student = torch.tensor(TOP_K_STUDENT_LOGITS, dtype=torch.float64, requires_grad=True)
    values, indexes, tail = top_k_targets(temperature, k)
    p = torch.cat([values, tail.unsqueeze(1)], dim=1)
    p = p / p.sum(dim=1, keepdim=True)
    q = F.softmax(student / temperature, dim=1)
    q_tail = q.scatter(1, indexes, 0.0).sum(dim=1, keepdim=True)
    q = torch.cat([q.gather(1, indexes), q_tail], dim=1)
    soft = F.kl_div(q.log(), p, reduction="batchmean")
    hard = F.cross_entropy(student, torch.tensor(TOP_K_LABELS))
    total = alpha * temperature**2 * soft + (1 - alpha) * hard
    total.backward()
    return {
        "total": total.item(),
        "soft": soft.item(),
        "hard": hard.item(),
        "gradient": student.grad.tolist(),
    }


def top_k_loss():
    targets = []
    for t in TEMPERATURES:
        for k in (1, 3, 9):
            values, indexes, tail = top_k_targets(t, k)
            targets.append(
                {
                    "temperature": t,
                    "k": k,
                    "probabilities": values.tolist(),
                    "class_indexes": indexes.tolist(),
                    "tail_mass": tail.tolist(),
                    "cases": [
                        {"alpha": a, "float64": top_k_case(t, k, a)} for a in TOP_K_ALPHAS
                    ],
                }
            )
    return {
        "student_logits": TOP_K_STUDENT_LOGITS,
        "teacher_logits": TOP_K_TEACHER_LOGITS,
        "labels": TOP_K_LABELS,
        "targets": targets,
    }


def standardised(logits):
    deviation = logits.std(dim=1, keepdim=True)
    return (logits - logits.mean(dim=1, keepdim=True)) / (1e-7 + deviation)


def kl(p, log_p, log_q):
    return (p * (log_p - log_q)).sum() / p.shape[0]


def soft_term(name, student, teacher, labels, t, weights):
    """Each loss as its paper writes it, from whole logits."""
    if name == "mse":
        return F.mse_loss(student, teacher)
    if name == "logit_standardized":
        student, teacher = standardised(student), standardised(teacher)
    log_p, log_q = F.log_softmax(teacher / t, dim=1), F.log_softmax(student / t, dim=1)
    if name in ("kd", "logit_standardized"):
        return F.kl_div(log_q, log_p, reduction="batchmean", log_target=True)
    if name == "reverse_kl":
        return F.kl_div(log_p, log_q, reduction="batchmean", log_target=True)
    if name == "jsd":
        m = (log_p.exp() + log_q.exp()) / 2
        return (kl(log_p.exp(), log_p, m.log()) + kl(log_q.exp(), log_q, m.log())) / 2
    # dkd: binary probabilities of the target class, and the others renormalised among themselves.
    rows = torch.arange(len(labels))
    p, q = log_p.exp(), log_q.exp()
    p_t, q_t = p[rows, labels], q[rows, labels]
    tckd = p_t * (p_t / q_t).log() + (1 - p_t) * ((1 - p_t) / (1 - q_t)).log()
    others = torch.ones_like(p, dtype=torch.bool)
    others[rows, labels] = False
    p_hat = p[others].view(len(labels), -1) / (1 - p_t).unsqueeze(1)
    q_hat = q[others].view(len(labels), -1) / (1 - q_t).unsqueeze(1)
    nckd = (p_hat * (p_hat / q_hat).log()).sum(dim=1)
    return weights[0] * tckd.mean() + weights[1] * nckd.mean()


def combined(name, soft, student, labels, t, alpha, smoothing):
    hard = F.cross_entropy(student, labels, label_smoothing=smoothing)
    total = alpha * (1 if name == "mse" else t**2) * soft + (1 - alpha) * hard
    total.backward()
    return {
        "name": name,
        "temperature": t,
        "alpha": alpha,
        "label_smoothing": smoothing,
        "total": total.item(),
        "soft": soft.item(),
        "hard": hard.item(),
        "gradient": student.grad.tolist(),
    }


def soft_losses():
    # The logits of top_k_loss.json, at an eighth: no probability is lost to rounding. The student's are
    # shifted by class: standardised logits of equal ones have no gradient.
    student_logits = torch.tensor(TOP_K_STUDENT_LOGITS, dtype=torch.float64) / 8
    student_logits += torch.arange(10) / 16
    teacher = torch.tensor(TOP_K_TEACHER_LOGITS, dtype=torch.float64) / 8
    labels = torch.tensor(TOP_K_LABELS)
    weights = [1.0, 8.0]

    def fresh():
        return student_logits.clone().requires_grad_(True)

    cases = []
    for name in ("kd", "dkd", "logit_standardized", "mse", "reverse_kl", "jsd"):
        for t, alpha, smoothing in ((1.0, 0.5, 0.0), (4.0, 0.9, 0.1), (4.0, 1.0, 0.0)):
            student = fresh()
            soft = soft_term(name, student, teacher, labels, t, weights)
            cases.append(combined(name, soft, student, labels, t, alpha, smoothing))
    top_k_cases = []
    for name in ("kd", "reverse_kl", "jsd"):
        for k in (1, 3):
            t = 2.0
            student = fresh()
            p = F.softmax(teacher / t, dim=1)
            values, indexes = torch.topk(p, k, dim=1)
            tail = p.scatter(1, indexes, 0.0).sum(dim=1)
            q = F.softmax(student / t, dim=1)
            q_tail = q.scatter(1, indexes, 0.0).sum(dim=1, keepdim=True)
            outcomes = torch.cat([values, tail.unsqueeze(1)], dim=1)
            # softmax(log x) is x: the distributions over k + 1 outcomes as logits.
            soft = soft_term(
                name,
                torch.cat([q.gather(1, indexes), q_tail], dim=1).log() * t,
                outcomes.log() * t,
                None,
                t,
                weights,
            )
            case = combined(name, soft, student, labels, t, 0.9, 0.0)
            case.update(
                k=k,
                probabilities=values.tolist(),
                class_indexes=indexes.tolist(),
                tail_mass=tail.tolist(),
            )
            top_k_cases.append(case)
    return {
        "student_logits": student_logits.tolist(),
        "teacher_logits": teacher.tolist(),
        "labels": TOP_K_LABELS,
        "dkd_weights": weights,
        "cases": cases,
        "top_k_cases": top_k_cases,
    }


def unlabelled_loss():
    """kd where some samples have no label: the hard term is the mean over those that have one."""
    student = (torch.tensor(TOP_K_STUDENT_LOGITS, dtype=torch.float64) / 8).requires_grad_(True)
    teacher = torch.tensor(TOP_K_TEACHER_LOGITS, dtype=torch.float64) / 8
    labels = [y if i % 2 == 0 else -100 for i, y in enumerate(TOP_K_LABELS)]
    t = 3.0
    soft = soft_term("kd", student, teacher, None, t, None)
    case = combined("kd", soft, student, torch.tensor(labels), t, 0.7, 0.0)
    case.update(
        student_logits=student.tolist(), teacher_logits=teacher.tolist(), labels=labels
    )
    return case


EVALUATION_CLASSES = 12
EVALUATION_SAMPLES = 90


def evaluation():
    """What evaluate measures, by other means: sorting, numpy-like bins, F.kl_div."""
    places = torch.arange(EVALUATION_SAMPLES * EVALUATION_CLASSES)
    pixels = ((places * 7919 + 13) % 251).reshape(EVALUATION_SAMPLES, EVALUATION_CLASSES)
    labels = (torch.arange(EVALUATION_SAMPLES) * 5) % EVALUATION_CLASSES
    # Pull the label's pixel up, so that some are right.
    pixels[torch.arange(EVALUATION_SAMPLES), labels] |= 192
    logits = pixels.double() / 255 * 8
    teacher = ((places * 104729 + 7) % 509).double().reshape(logits.shape) / 64
    teacher[torch.arange(EVALUATION_SAMPLES), labels] += 4
    order = logits.argsort(dim=1, descending=True, stable=True)
    choice = order[:, 0]
    right = choice == labels
    confidence = logits.softmax(dim=1).max(dim=1).values
    bins, error = [], 0.0
    for b in range(15):
        inside = (confidence >= b / 15) & ((confidence < (b + 1) / 15) | (b == 14))
        count = int(inside.sum())
        if count > 0:
            gap = right[inside].double().mean() - confidence[inside].mean()
            error += count / EVALUATION_SAMPLES * abs(gap.item())
        bins.append(count)
    confusion = torch.zeros(EVALUATION_CLASSES, EVALUATION_CLASSES, dtype=torch.int64)
    for label, chosen in zip(labels.tolist(), choice.tolist()):
        confusion[label, chosen] += 1
    return {
        "pixels": pixels.tolist(),
        "labels": labels.tolist(),
        "teacher_logits": teacher.tolist(),
        "correct_count": int(right.sum()),
        "top5_count": int((order[:, :5] == labels.unsqueeze(1)).any(dim=1).sum()),
        "agreement_count": int((teacher.argmax(dim=1) == choice).sum()),
        "cross_entropy": F.cross_entropy(logits, labels).item(),
        "teacher_kl": F.kl_div(
            logits.log_softmax(dim=1), teacher.softmax(dim=1), reduction="batchmean"
        ).item(),
        "calibration_error": error,
        "calibration_counts": bins,
        "confusion_matrix": confusion.flatten().tolist(),
    }


SGD_START = {"bias": [0.5, -1.5], "weight": [[1.0, -2.0, 0.25], [0.75, 0.0, 3.0]]}
SGD_RATES = [0.1, 0.1, 0.05, 0.05, 0.025]


def sgd_gradient(name, step):
    """Any fixed numbers will do: multiples of 1/16 that differ by step and place."""
    values = torch.tensor(SGD_START[name])
    places = torch.arange(values.numel(), dtype=torch.float32).reshape(values.shape)
    return ((places * 7 + step * 5) % 11 - 5) / 16


def optimizer_case(kind, momentum, nesterov, weight_decay, max_norm, max_weight_norm=0.0):
    parameters = {n: torch.nn.Parameter(torch.tensor(v)) for n, v in SGD_START.items()}
    if kind == "adamw":
        optimizer = torch.optim.AdamW(parameters.values(), lr=1.0, weight_decay=weight_decay)
    else:
        optimizer = torch.optim.SGD(
            parameters.values(),
            lr=1.0,
            momentum=momentum,
            nesterov=nesterov,
            weight_decay=weight_decay,
        )
    after = []
    for step, rate in enumerate(SGD_RATES):
        optimizer.param_groups[0]["lr"] = rate
        for name, parameter in parameters.items():
            parameter.grad = sgd_gradient(name, step)
        if max_norm > 0:
            torch.nn.utils.clip_grad_norm_(parameters.values(), max_norm)
        optimizer.step()
        if max_weight_norm > 0:
            with torch.no_grad():
                weight = parameters["weight"]
                weight.copy_(torch.renorm(weight, 2, 0, max_weight_norm))
        after.append({n: p.tolist() for n, p in parameters.items()})
    return {
        "optimizer": kind,
        "momentum": momentum,
        "nesterov": nesterov,
        "weight_decay": weight_decay,
        "max_gradient_norm": max_norm,
        "max_weight_norm": max_weight_norm,
        "weights_after_step": after,
    }


def sgd():
    return {
        "start": SGD_START,
        "learning_rates": SGD_RATES,
        "gradients": [
            {name: sgd_gradient(name, step).tolist() for name in SGD_START}
            for step in range(len(SGD_RATES))
        ],
        "cases": [
            optimizer_case("sgd", m, False, d, 0.0) for m in (0.0, 0.9) for d in (0.0, 0.0625)
        ]
        + [
            optimizer_case("sgd", 0.9, True, 0.0625, 0.0),
            optimizer_case("sgd", 0.9, False, 0.0, 0.5),
            optimizer_case("adamw", 0.0, False, 0.0, 0.0),
            optimizer_case("adamw", 0.0, False, 0.0625, 0.5),
            optimizer_case("sgd", 0.9, False, 0.0, 0.0, 2.0),
        ],
    }


PEAK = 0.4
# Rates are listed at progress 0, 1/100, ... 1.
POINTS = 101


def rates_of(make_scheduler):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=PEAK)
    scheduler = make_scheduler(optimizer)
    rates = []
    for point in range(POINTS):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if point + 1 < POINTS:
            scheduler.step()
    return rates


def schedules():
    # OneCycleLR's first phase ends at step pct_start * total_steps - 1: this puts it at step 30.
    one_cycle = rates_of(
        lambda optimizer: torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            max_lr=PEAK,
            total_steps=POINTS,
            pct_start=31 / POINTS,
            anneal_strategy="cos",
            cycle_momentum=False,
            div_factor=25,
            final_div_factor=1e12,
        )
    )
    cosine = rates_of(
        lambda optimizer: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=POINTS - 1)
    )
    step = rates_of(
        lambda optimizer: torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones=[50, 75])
    )
    linear = rates_of(
        lambda optimizer: torch.optim.lr_scheduler.LinearLR(
            optimizer, start_factor=1.0, end_factor=1e-12, total_iters=POINTS - 1
        )
    )
    return {
        "peak": PEAK,
        "one_cycle": one_cycle,
        "cosine": cosine,
        "step": step,
        "linear": linear,
    }


NETWORK_CLASSES = 5
NETWORK_LABELS = [0, 3, 1, 4]


def pattern(key, shape):
    """Numbers within +-1 that look random, exact in float32: multiples of 1/512."""
    places = torch.arange(math.prod(shape), dtype=torch.int64)
    values = (places * 7919 + key * 104729) % 1009 - 504
    return (values.double() / 512).reshape(shape)


def known_tensor(key, name, shape):
    """A trained network's tensor, near enough: variances are positive, no layer dies."""
    if name.endswith("num_batches_tracked"):
        return torch.tensor(7)
    if name.endswith("running_var"):
        return 1 + pattern(key, shape) / 2
    if len(shape) > 1:
        return pattern(key, shape) / 8
    return (1 if name.endswith("weight") else 0) + pattern(key, shape) / 4


def summary(tensor):
    """Enough to tell a tensor from any other, in a few numbers."""
    return {
        "norm": tensor.norm().item(),
        "projection": (tensor * pattern(2000, tensor.shape)).sum().item(),
        "first": tensor.flatten()[:3].tolist(),
    }


def known_network(network):
    network = network.double()
    state = network.state_dict()
    network.load_state_dict(
        {
            name: known_tensor(key, name, state[name].shape)
            for key, name in enumerate(sorted(state))
        }
    )
    return network


def known_input(index, spec, rows):
    """Of an input named mask the first numbers are 1, one less in each further row."""
    shape = (rows, *spec["shape"])
    if spec["name"] == "mask":
        length = spec["shape"][0]
        counted = torch.tensor([max(1, length - row) for row in range(rows)])
        return (torch.arange(length) < counted.unsqueeze(1)).long()
    if spec.get("vocabulary", 0) > 0:
        places = torch.arange(math.prod(shape), dtype=torch.int64)
        return ((places * 7919 + index * 104729) % spec["vocabulary"]).reshape(shape)
    return pattern(1000 + index, shape)


def network_case(architecture, network, inputs, labels, of_logits=torch.Tensor.tolist):
    """Logits, and of one training step on all answers alike the gradients and running statistics."""
    network = known_network(network)
    # Without gradients PyTorch's encoder leaves out what a mask hides.
    evaluated = network.eval()(*inputs).detach()
    trained = network.train()(*inputs)
    F.cross_entropy(trained.reshape(labels.numel(), -1), labels).backward()
    return {
        "architecture": architecture,
        "shapes": {name: list(tensor.shape) for name, tensor in network.state_dict().items()},
        "logits_in_evaluation": of_logits(evaluated),
        "logits_in_training": of_logits(trained),
        "gradients": {n: summary(p.grad) for n, p in network.named_parameters()},
        "buffers_after_step": {
            n: summary(b) if b.is_floating_point() else b.item()
            for n, b in network.named_buffers()
        },
    }


def residual_networks():
    images = [pattern(1000, (len(NETWORK_LABELS), 3, 8, 8))]
    labels = torch.tensor(NETWORK_LABELS)
    return {
        "class_count": NETWORK_CLASSES,
        "labels": NETWORK_LABELS,
        "cases": [
            network_case("resnet8", ResNet(8, NETWORK_CLASSES), images, labels),
            network_case("wrn-10-1", WideResNet(10, 1, NETWORK_CLASSES), images, labels),
        ],
    }


SAMPLE_ROWS = 4
VOCABULARY = 11
LENGTH = 6


def sample_case(architecture, network, specs, answers, positions=()):
    known = [(spec, known_input(i, spec, SAMPLE_ROWS)) for i, spec in enumerate(specs)]
    # PyTorch's networks take the mask last, whatever the order of the sample.
    inputs = [tensor for spec, tensor in sorted(known, key=lambda pair: pair[0]["name"] == "mask")]
    places = torch.arange(SAMPLE_ROWS * math.prod(positions))
    case = {"inputs": specs, "answers": answers, "positions": list(positions)}
    case.update(network_case(architecture, network, inputs, places * 3 % answers, summary))
    return case


def sample_networks():
    tokens = {"name": "tokens", "shape": [LENGTH], "vocabulary": VOCABULARY}
    mask = {"name": "mask", "shape": [LENGTH]}

    def numbers(name, *shape):
        return {"name": name, "shape": list(shape)}

    def transformer(answers, positions, causal=False):
        return Transformer(2, 2, 8, VOCABULARY, LENGTH, answers, positions, causal)

    return {
        "rows": SAMPLE_ROWS,
        "cases": [
            sample_case("mlp:5-7-3", Mlp(5, 7, 3), [numbers("features", 5)], 3),
            sample_case(
                "mlp:9-7-3",
                Mlp(9, 7, 3),
                [numbers("area", 2, 3), numbers("age"), numbers("rest", 2)],
                3,
            ),
            sample_case("transformer:2-2-8", transformer(3, False), [tokens], 3),
            sample_case("transformer:2-2-8", transformer(3, False), [tokens, mask], 3),
            sample_case("transformer:2-2-8", transformer(5, True), [mask, tokens], 5, [LENGTH]),
            sample_case(
                "transformer:2-2-8,causal",
                transformer(VOCABULARY, True, True),
                [tokens],
                VOCABULARY,
                [LENGTH],
            ),
            sample_case(
                "transformer:2-2-8,causal",
                transformer(5, True, True),
                [tokens, mask],
                5,
                [LENGTH],
            ),
            sample_case("gru:7", Gru(7, 1, VOCABULARY, 0, 3, False), [tokens], 3),
            sample_case("gru:7-2", Gru(7, 2, VOCABULARY, 0, 3, False), [mask, tokens], 3),
            sample_case("gru:7", Gru(7, 1, VOCABULARY, 0, 5, True), [tokens, mask], 5, [LENGTH]),
            sample_case(
                "gru:7-2", Gru(7, 2, 0, 4, 5, True), [numbers("series", 4, LENGTH)], 5, [LENGTH]
            ),
            sample_case(
                "gru:7,channels_last",
                Gru(7, 1, 0, 2, 3, False, True),
                [numbers("series", LENGTH, 2)],
                3,
            ),
            sample_case("gru:7", Gru(7, 1, 0, 1, 3, False), [numbers("sound", LENGTH)], 3),
            sample_case("unet:3", Unet(3, 3, 2, 5), [numbers("picture", 2, 8, 12)], 5, [8, 12]),
            sample_case("unet:3-2", Unet(3, 2, 1, 5), [numbers("picture", 1, 6, 4)], 5, [6, 4]),
        ],
    }


def small_networks():
    def numbers(name, *shape):
        return {"name": name, "shape": list(shape)}

    return {
        "rows": SAMPLE_ROWS,
        "cases": [
            sample_case(
                "mobilenetv2:10", MobileNetV2(10, 3, 5), [numbers("picture", 3, 16, 9)], 5
            ),
            sample_case(
                "vit:2-2-8-4", Vit(2, 2, 8, 4, (3, 8, 12), 5), [numbers("picture", 3, 8, 12)], 5
            ),
            sample_case("dscnn:6-2", Dscnn(6, 2, 1, 3), [numbers("log_mel", 1, 11, 21)], 3),
            sample_case("dscnn:4", Dscnn(4, 4, 2, 3), [numbers("log_mel", 2, 4, 10)], 3),
            sample_case("conv1d:3", Conv1d(3, 1, 3), [numbers("audio", 1, 2201)], 3),
            sample_case("conv1d:2", Conv1d(2, 1, 3), [numbers("audio", 1300)], 3),
        ],
    }


FILES = {
    "distillation_loss.json": distillation_loss,
    "top_k_loss.json": top_k_loss,
    "soft_losses.json": soft_losses,
    "unlabelled_loss.json": unlabelled_loss,
    "answer_losses.json": answer_losses,
    "answer_figures.json": answer_figures,
    "evaluation.json": evaluation,
    "sgd.json": sgd,
    "schedules.json": schedules,
    "residual_networks.json": residual_networks,
    "sample_networks.json": sample_networks,
    "small_networks.json": small_networks,
    "log_mel.json": log_mel,
}


def difference(path, kept, made, tolerance):
    """The first place where two trees of numbers differ, or None."""
    if isinstance(kept, dict) and isinstance(made, dict):
        if kept.keys() != made.keys():
            return f"{path}: keys {sorted(kept)} and {sorted(made)}"
        pairs = [(f"{path}.{key}", kept[key], made[key]) for key in kept]
    elif isinstance(kept, list) and isinstance(made, list):
        if len(kept) != len(made):
            return f"{path}: {len(kept)} and {len(made)} items"
        pairs = [(f"{path}[{i}]", a, b) for i, (a, b) in enumerate(zip(kept, made))]
    elif isinstance(kept, str):
        return None if kept == made else f"{path}: {kept!r} in the file, {made!r} computed"
    else:
        same = math.isclose(kept, made, rel_tol=tolerance, abs_tol=tolerance)
        return None if same else f"{path}: {kept!r} in the file, {made!r} computed"
    for place, a, b in pairs:
        # Last bits of float32 differ between instruction sets.
        wide = 1e-5 if "float32" in place or "weights_after" in place else tolerance
        found = difference(place, a, b, wide)
        if found is not None:
            return found
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with the files, write none")
    check = parser.parse_args().check
    torch.set_num_threads(1)
    failed = False
    for name, make in FILES.items():
        # Through text, so that what is compared is what a file would hold.
        text = json.dumps(make(), indent=1) + "\n"
        if not check:
            (FOLDER / name).write_text(text, encoding="utf-8")
            continue
        kept = json.loads((FOLDER / name).read_text(encoding="utf-8"))
        found = difference(name, kept, json.loads(text), 1e-9)
        if found is not None:
            print(found, file=sys.stderr)
            failed = True
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
