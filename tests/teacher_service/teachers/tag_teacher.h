// A teacher without LibTorch that tags tokens: two inputs in, an answer for each token out; and a
// small data set for it.
#pragma once

#include <cmath>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/data/dataset.h"
#include "teacher_service/teachers/teacher.h"
#include "tests/common/status_matchers.h"

namespace distillery {

inline constexpr int64_t kTagLength = 4;
inline constexpr int64_t kTagClasses = 5;
inline constexpr int64_t kTagVocabulary = 32;
// The answer to it has NaN for class 2.
inline constexpr int64_t kBadTag = 31;

// tokens int64 [4] below 32 and scale float32 [], one number -> classes [4] or another kind.
inline SampleSpec TagSpec(AnswerKind kind = AnswerKind::kClasses) {
  SampleSpec spec;
  spec.inputs = {{"tokens", ElementType::kInt64, {kTagLength}, 0, kTagVocabulary},
                 {"scale", ElementType::kFloat32, {}, 0, 0}};
  spec.answer.kind = kind;
  spec.answer.positions = {kTagLength};
  return spec;
}

inline std::vector<std::string> TagNames() { return {"a", "b", "c", "d", "e"}; }

class TagTeacher : public Teacher {
 public:
  explicit TagTeacher(AnswerKind kind = AnswerKind::kClasses, const std::string& name = "fake") {
    info_.digest = "tag-teacher-digest";
    info_.model_name = name;
    info_.card.samples = TagSpec(kind);
    info_.card.mean = {0};
    info_.card.deviation = {1};
    info_.card.class_names = TagNames();
    info_.parameter_count = 3;
    info_.batch_rows = 3;
  }
  const TeacherInfo& info() const override { return info_; }

  // The bits do not depend on the batch.
  static float Logit(int64_t token, float scale, int64_t c) {
    if (token == kBadTag && c == 2) return std::nanf("");
    return scale * static_cast<float>(token * (c + 1) % 7) - static_cast<float>(c) / 4;
  }

  absl::Status ComputeLogits(const InputColumns& inputs, int64_t rows, float* logits) override {
    const auto* const tokens = static_cast<const int64_t*>(inputs[0]);
    const auto* const scales = static_cast<const float*>(inputs[1]);
    for (int64_t i = 0; i < rows * kTagLength; ++i) {
      for (int64_t c = 0; c < kTagClasses; ++c) {
        *logits++ = Logit(tokens[i], scales[i / kTagLength], c);
      }
    }
    return absl::OkStatus();
  }

 private:
  TeacherInfo info_;
};

// The token at a position of a stored sample, and its scale.
inline int64_t TagToken(int64_t sample, int64_t position) {
  return (sample * 5 + position * 3) % 31;
}
inline float TagScale(int64_t sample) { return static_cast<float>(sample % 4) / 2 + 0.25F; }

// Ten samples in one shard of ten.
inline std::shared_ptr<const Dataset> TagDataset() {
  StoredSamples samples;
  samples.name = "tags";
  samples.class_names = TagNames();
  samples.spec = TagSpec();
  const auto append = [&](const auto& number) {
    const auto* const bytes = reinterpret_cast<const uint8_t*>(&number);
    samples.records.insert(samples.records.end(), bytes, bytes + sizeof(number));
  };
  for (int64_t i = 0; i < 10; ++i) {
    for (int64_t p = 0; p < kTagLength; ++p) append(TagToken(i, p));
    append(TagScale(i));
    for (int64_t p = 0; p < kTagLength; ++p) append(p == 3 ? kNoLabel : static_cast<int32_t>(p));
    samples.labels.push_back(0);
  }
  samples.train = IndexList::Range(0, 10);
  samples.test = IndexList::Range(0, 10);
  auto dataset = Dataset::Create(std::make_shared<const StoredSamples>(std::move(samples)),
                                 {"tags", "train", 10});
  EXPECT_THAT(dataset, IsOk());
  return *dataset;
}

// What the teacher answers to rows of the data set, [rows, positions, classes].
inline std::vector<float> TagLogits(const Dataset& dataset, int64_t first, int64_t rows) {
  std::vector<float> logits;
  for (int64_t row = first; row < first + rows; ++row) {
    const int64_t sample = dataset.StoredIndex(row);
    for (int64_t p = 0; p < kTagLength; ++p) {
      for (int64_t c = 0; c < kTagClasses; ++c) {
        logits.push_back(TagTeacher::Logit(TagToken(sample, p), TagScale(sample), c));
      }
    }
  }
  return logits;
}

}  // namespace distillery
