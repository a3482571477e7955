"""What evaluations measure for each kind of answer, by NumPy and by the definitions in words: ranks are
sorted, overlaps are sets, the average precision is a sum over thresholds."""

import math

import numpy as np

from answer_losses import pattern

NONE = -100


def softmax(logits):
    e = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def class_figures(positions, classes, samples, key):
    shape = (samples, *positions)
    count = math.prod(shape)
    logits = (pattern(key, count, classes) * 2).numpy()
    teacher = (pattern(key + 1, count, classes) * 2).numpy()
    # The last class is neither a label nor, by its logits, an answer.
    logits[:, classes - 1] -= 20
    labels = np.arange(count) * 7 % (classes - 1)
    for i in range(count):
        if i % 3 != 0:
            logits[i, labels[i]] += 3
            teacher[i, labels[i]] += 3
    per_sample = count // samples
    for answers in (logits, teacher):  # the first sample is all right
        answers[np.arange(per_sample), labels[:per_sample]] += 20
    labels[np.arange(count) % 7 == 4] = NONE
    wanted = [i for i in range(count) if labels[i] != NONE]
    choice, teacher_choice = logits.argmax(1), teacher.argmax(1)
    order = np.argsort(-logits, axis=1, kind="stable")
    whole, agreeing = 0, 0
    for sample in range(samples):
        own = [i for i in wanted if i // per_sample == sample]
        whole += all(choice[i] == labels[i] for i in own)
        agreeing += all(choice[i] == teacher_choice[i] for i in own)
    q, p = softmax(logits), softmax(teacher)
    overlaps = []
    for c in range(classes):
        right = {i for i in wanted if labels[i] == c}
        said = {i for i in wanted if choice[i] == c}
        if right | said:
            overlaps.append(len(right & said) / len(right | said))
    loss = float(np.mean([-np.log(q[i, labels[i]]) for i in wanted]))
    return {
        "positions": list(positions),
        "samples": samples,
        "classes": classes,
        "answers": logits.flatten().tolist(),
        "teacher": teacher.flatten().tolist(),
        "labels": labels.tolist(),
        "correct_count": int(whole),
        "agreement_count": int(agreeing),
        "position_count": len(wanted),
        "correct_position_count": int(sum(choice[i] == labels[i] for i in wanted)),
        "top5_position_count": int(sum(labels[i] in order[i, :5] for i in wanted)),
        "agreement_position_count": int(sum(choice[i] == teacher_choice[i] for i in wanted)),
        "cross_entropy": loss,
        "perplexity": math.exp(loss),
        "teacher_kl": float(np.mean([(p[i] * np.log(p[i] / q[i])).sum() for i in wanted])),
        "iou_class_count": len(overlaps),
        "mean_iou": float(np.mean(overlaps)),
    }


def average_precision(scores, bits):
    """The sum over thresholds of (R_n - R_{n-1}) P_n, as sklearn.metrics.average_precision_score."""
    total, last_recall = 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        said = scores >= threshold
        recall = bits[said].sum() / bits.sum()
        total += (recall - last_recall) * bits[said].sum() / said.sum()
        last_recall = recall
    return float(total)


def f1(hits, said, right):
    return 2 * hits / (said + right) if said + right > 0 else 0.0


def multilabel_figures(rows=40, labels=5):
    # Quarters: many scores are equal.
    logits = np.round(pattern(21, rows, labels).numpy() * 4) / 4
    teacher = pattern(22, rows, labels).numpy() + pattern(21, rows, labels).numpy()
    bits = (pattern(23, rows, labels).numpy() / 4 + logits > 0.2).astype(int)
    bits[:, 3] = 0  # nobody has it, and some answers say it
    bits[:, 4] = 0  # nobody has it, and no answer says it
    logits[4:, 3:] = -np.abs(logits[4:, 3:]) - 1
    logits[:, 4] = -1
    said, teacher_said = logits > 0, teacher > 0
    hits = (said & (bits == 1)).sum(axis=0)
    each = [f1(h, s, r) for h, s, r in zip(hits, said.sum(axis=0), bits.sum(axis=0))]
    occur = [c for c in range(labels) if bits[:, c].sum() + said[:, c].sum() > 0]
    precision = [
        average_precision(logits[:, c], bits[:, c]) if bits[:, c].any() else 0.0
        for c in range(labels)
    ]
    q, p = 1 / (1 + np.exp(-logits)), 1 / (1 + np.exp(-teacher))
    kl = p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))
    return {
        "samples": rows,
        "count": labels,
        "answers": logits.flatten().tolist(),
        "teacher": teacher.flatten().tolist(),
        "labels": bits.flatten().tolist(),
        "correct_count": int((said == bits).all(axis=1).sum()),
        "agreement_count": int((said == teacher_said).all(axis=1).sum()),
        "cross_entropy": float(-np.log(np.where(bits == 1, q, 1 - q)).mean()),
        "teacher_kl": float(kl.mean()),
        "f1": each,
        "micro_f1": f1(hits.sum(), said.sum(), bits.sum()),
        "macro_f1": float(np.mean([each[c] for c in occur])),
        "average_precision": precision,
        "ranked_label_count": 3,
        "mean_average_precision": float(np.mean(precision[:3])),
    }


def value_figures(rows=30, values=3):
    answers, teacher = pattern(31, rows, values).numpy(), pattern(32, rows, values).numpy()
    labels = answers + pattern(33, rows, values).numpy() / 4
    for numbers in (answers, teacher, labels):  # far from 0, in a narrow range
        numbers[:, 2] = numbers[:, 2] / 16 + 8
    residual = ((labels - answers) ** 2).sum(axis=0)
    total = ((labels - labels.mean(axis=0)) ** 2).sum(axis=0)
    r2 = 1 - residual / total
    norms = np.linalg.norm(labels, axis=1) * np.linalg.norm(answers, axis=1)
    return {
        "samples": rows,
        "count": values,
        "answers": answers.flatten().tolist(),
        "teacher": teacher.flatten().tolist(),
        "labels": labels.flatten().tolist(),
        "mean_squared_error": float(((labels - answers) ** 2).mean()),
        "mean_squared_error_per_value": (residual / rows).tolist(),
        "r2": float(r2.mean()),
        "r2_per_value": r2.tolist(),
        "cosine": float(((labels * answers).sum(axis=1) / norms).mean()),
        "teacher_kl": float(((teacher - answers) ** 2).mean()),
    }


def answer_figures():
    return {
        "classes": [
            class_figures((6,), 9, 8, 11),  # tokens
            class_figures((3, 4), 6, 5, 13),  # pixels
        ],
        "multilabel": multilabel_figures(),
        "values": value_figures(),
    }
