#include "teacher_service/shard_reader.h"

#include <algorithm>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"
#include "common/data/pixels.h"

namespace distillery {

absl::StatusOr<std::unique_ptr<ShardReader>> ShardReader::Create(
    Teacher* teacher, std::shared_ptr<const Dataset> dataset, int64_t shard, const View& view,
    const SoftTargetFormat& format) {
  const ModelCard& card = teacher->info().card;
  DISTILLERY_RETURN_IF_ERROR(format.Validate(card.class_count()));
  if (!(card.input_shape == dataset->shape()) || card.class_count() != dataset->class_count()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "data set ", dataset->reference().name, " has images of ",
        absl::StrJoin(dataset->shape().ToVector(), " x "), " in ", dataset->class_count(),
        " classes, the teacher takes ", absl::StrJoin(card.input_shape.ToVector(), " x "), " in ",
        card.class_count()));
  }
  DISTILLERY_ASSIGN_OR_RETURN(const RowRange range, dataset->Shard(shard));
  return std::unique_ptr<ShardReader>(
      new ShardReader(teacher, std::move(dataset), range, view, format));
}

absl::Status ShardReader::ComputeCut(int64_t cut) {
  const TeacherInfo& info = teacher_->info();
  const int64_t first = cut * info.batch_rows;
  const int64_t rows = std::min(info.batch_rows, range_.count - first);
  std::vector<int64_t> indexes(static_cast<size_t>(rows));
  std::iota(indexes.begin(), indexes.end(), range_.first + first);
  std::vector<float> inputs(static_cast<size_t>(rows * dataset_->shape().size()));
  LoadPixels(*dataset_, indexes, view_, inputs.data());
  logits_.resize(static_cast<size_t>(rows * info.card.class_count()));
  cut_ = -1;
  DISTILLERY_RETURN_IF_ERROR(teacher_->ComputeLogits(inputs.data(), rows, logits_.data()));
  cut_ = cut;
  return absl::OkStatus();
}

absl::StatusOr<ShardReader::Piece> ShardReader::Read(int64_t row, int64_t max_bytes) {
  const TeacherInfo& info = teacher_->info();
  const int64_t classes = info.card.class_count();
  const int64_t cut = row / info.batch_rows;
  if (cut != cut_) DISTILLERY_RETURN_IF_ERROR(ComputeCut(cut));
  const int64_t first = cut * info.batch_rows;
  const int64_t cut_rows = static_cast<int64_t>(logits_.size()) / classes;
  const int64_t fit = std::max<int64_t>(1, max_bytes / format_.SizesOf(1, classes).total());
  Piece piece;
  piece.start_row = row;
  piece.rows = std::min(fit, first + cut_rows - row);
  piece.values = EncodeSoftTargets(&logits_[static_cast<size_t>((row - first) * classes)],
                                   piece.rows, classes, format_)
                      .values;
  return piece;
}

}  // namespace distillery
