// A shard whose samples have an answer for each token: from the teacher and the cache to a worker.
#include <future>

#include "common/rpc/soft_target_conversion.h"
#include "common/soft_targets/decode.h"
#include "common/soft_targets/encode.h"
#include "distillery/v1/teacher_service.pb.h"
#include "teacher_service/logit_source.h"
#include "teacher_service/soft_target_chunk.h"
#include "tests/common/temporary_folder.h"
#include "tests/teacher_service/teachers/tag_teacher.h"

namespace distillery {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class PositionsTest : public ::testing::Test {
 protected:
  ~PositionsTest() override { scheduler_.Close(); }

  absl::StatusOr<LogitRows> Get(ShardLogits& shard, int64_t row) {
    std::promise<absl::StatusOr<LogitRows>> promise;
    shard.Get(row, std::make_shared<const std::atomic<bool>>(false),
              [&](const absl::StatusOr<LogitRows>& rows) { promise.set_value(rows); });
    return promise.get_future().get();
  }

  // What a worker holds of the shard that it reads from `start` on, by messages of `max_bytes`.
  SoftTargetRows Stream(LogitSource& source, int64_t start, const SoftTargetFormat& format,
                        int64_t max_bytes) {
    SoftTargetRows held;
    auto shard = source.Open(teacher_, dataset_, 0, {});
    EXPECT_THAT(shard, IsOk());
    ChunkMaker::Options options;
    options.format = format;
    options.max_bytes = max_bytes;
    ChunkMaker maker(options, dataset_.get(), *dataset_->Shard(0), &pool_);
    for (int64_t row = start; row < (*shard)->row_count();) {
      const auto rows = Get(**shard, row);
      EXPECT_THAT(rows, IsOk());
      const auto chunk = maker.Make(*rows);
      EXPECT_THAT(chunk, IsOk());
      EXPECT_EQ(chunk->start_row, row);
      v1::StreamSoftTargetsResponse message;
      std::string wire;
      const std::vector<std::string> parts = ChunkWireParts(*chunk);
      for (size_t i = 0; i < parts.size(); ++i) {
        wire += parts[i];
        if (i < chunk->tensors.size()) wire += std::string(chunk->tensors[i].bytes);
      }
      EXPECT_TRUE(message.ParseFromString(wire));
      last_ = message.chunk();
      EXPECT_THAT(AppendChunk(last_, format, shape_, chunk->rows, &held), IsOk());
      row += chunk->rows;
    }
    return held;
  }

  // The same without a service.
  SoftTargetRows Expected(int64_t start, const SoftTargetFormat& format) const {
    const int64_t rows = dataset_->size() - start;
    const EncodedRows encoded =
        EncodeSoftTargets(TagLogits(*dataset_, start, rows).data(), rows, shape_, format);
    SoftTargetRows decoded;
    EXPECT_THAT(AppendDecoded(EncodedView(encoded), rows, shape_, format, &decoded), IsOk());
    return decoded;
  }

  void ExpectEachStart(LogitSource& source) {
    for (const Encoding encoding :
         {Encoding::kFloat32, Encoding::kFloat16, Encoding::kInt8, Encoding::kTopK}) {
      SoftTargetFormat format;
      format.temperature = encoding == Encoding::kFloat32 ? 1 : 2;
      format.encoding = encoding;
      format.top_k = SpecOf(encoding).top_k ? 2 : 0;
      for (int64_t start = 0; start < dataset_->size(); ++start) {
        const SoftTargetRows got = Stream(source, start, format, /*max_bytes=*/200);
        const SoftTargetRows expected = Expected(start, format);
        EXPECT_EQ(got.row_count, dataset_->size() - start);
        EXPECT_EQ(got.values, expected.values) << EncodingName(encoding) << " from " << start;
        EXPECT_EQ(got.probabilities, expected.probabilities);
        EXPECT_EQ(got.class_indexes, expected.class_indexes);
        EXPECT_EQ(got.tail_mass, expected.tail_mass);
      }
    }
  }

  const TemporaryFolder folder_;
  const std::shared_ptr<const Dataset> dataset_ = TagDataset();
  const std::shared_ptr<Teacher> teacher_ = std::make_shared<TagTeacher>();
  const AnswerShape shape_{dataset_->spec().answer, kTagClasses};
  BufferPool pool_{/*buffer_bytes=*/1 << 20, /*max_free=*/4};
  ComputeScheduler scheduler_{{}, Clock::Real()};
  v1::SoftTargetChunk last_;
};

TEST_F(PositionsTest, AStreamCanBeResumedAtAnyRowInEachEncoding) {
  LogitSource source({}, &scheduler_, nullptr);
  ExpectEachStart(source);
}

TEST_F(PositionsTest, ACacheHoldsTheAnswersOfAllPositions) {
  LogitCache::Options options;
  options.folder = folder_.File("cache");
  options.max_bytes = 1 << 20;
  ASSERT_OK_AND_ASSIGN(const auto cache, LogitCache::Open(options));
  LogitSource source({}, &scheduler_, cache.get());
  (void)Stream(source, 0, {}, 1 << 20);
  ASSERT_OK_AND_ASSIGN(const auto shard, source.Open(teacher_, dataset_, 0, {}));
  ASSERT_TRUE(shard->in_cache());
  EXPECT_EQ(shard->row_values(), kTagLength * kTagClasses);
  ExpectEachStart(source);
}

TEST_F(PositionsTest, TensorsHaveThePositionsBehindTheRows) {
  LogitSource source({}, &scheduler_, nullptr);
  SoftTargetFormat format;
  (void)Stream(source, 0, format, 1 << 20);
  // The last cut of three rows begins at row 9.
  EXPECT_THAT(last_.values().shape(), ElementsAre(1, kTagLength, kTagClasses));
  format.encoding = Encoding::kTopK;
  format.top_k = 2;
  (void)Stream(source, 0, format, 1 << 20);
  EXPECT_THAT(last_.values().shape(), ElementsAre(1, kTagLength, 2));
  EXPECT_THAT(last_.class_indexes().shape(), ElementsAre(1, kTagLength, 2));
  EXPECT_THAT(last_.tail_mass().shape(), ElementsAre(1, kTagLength));
  format.encoding = Encoding::kInt8;
  format.top_k = 0;
  (void)Stream(source, 0, format, 1 << 20);
  EXPECT_THAT(last_.row_scales().shape(), ElementsAre(1, kTagLength));
}

TEST_F(PositionsTest, RowsWithOtherPositionsAreRefused) {
  LogitSource source({}, &scheduler_, nullptr);
  (void)Stream(source, 0, {}, 1 << 20);
  SoftTargetRows rows;
  EXPECT_THAT(AppendChunk(last_, {}, kTagLength * kTagClasses, 10, &rows),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("[1, 4, 5], expected")));
  EXPECT_EQ(rows.row_count, 0);
}

}  // namespace
}  // namespace distillery
