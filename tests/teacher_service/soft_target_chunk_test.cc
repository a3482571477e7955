#include "teacher_service/soft_target_chunk.h"

#include <cstring>

#include "common/base/checksum.h"
#include "common/data/catalog.h"
#include "common/data/pixels.h"
#include "common/soft_targets/encode.h"
#include "distillery/v1/teacher_service.pb.h"
#include "teacher_service/cache/unfinished_logit_file.h"
#include "tests/common/status_matchers.h"
#include "tests/common/temporary_folder.h"

namespace distillery {
namespace {

// The chunk's bytes as they go to the wire.
std::string Wire(const SoftTargetChunk& chunk) {
  const std::vector<std::string> parts = ChunkWireParts(chunk);
  std::string bytes;
  for (size_t i = 0; i < parts.size(); ++i) {
    bytes += parts[i];
    if (i < chunk.tensors.size()) bytes += std::string(chunk.tensors[i].bytes);
  }
  return bytes;
}

v1::Tensor* Field(v1::SoftTargetChunk* chunk, int field) {
  switch (field) {
    case 2:
      return chunk->mutable_values();
    case 3:
      return chunk->mutable_row_scales();
    case 4:
      return chunk->mutable_class_indexes();
    case 5:
      return chunk->mutable_tail_mass();
    case 6:
      return chunk->mutable_inputs();
    default:
      return chunk->mutable_labels();
  }
}

// The same through the generated class.
std::string Generated(const SoftTargetChunk& chunk) {
  v1::StreamSoftTargetsResponse message;
  message.mutable_chunk()->set_start_row(chunk.start_row);
  for (const TensorView& view : chunk.tensors) {
    v1::Tensor* const tensor = Field(message.mutable_chunk(), view.field);
    tensor->set_data_type(static_cast<v1::DataType>(SpecOf(view.type).wire));
    for (const int64_t size : view.shape) tensor->add_shape(size);
    tensor->set_data(std::string(view.bytes));
  }
  return message.SerializeAsString();
}

class ChunkTest : public ::testing::Test {
 protected:
  ChunkTest() : dataset_(*catalog_.Open({"digits", "train", 100})) {
    for (int i = 0; i < 100 * 10; ++i) logits_.push_back(static_cast<float>(i % 37) / 4 - 3);
  }
  LogitRows Rows(int64_t first, int64_t count) const {
    LogitRows rows;
    rows.data = reinterpret_cast<const char*>(&logits_[static_cast<size_t>(first * 10)]);
    rows.first_row = first;
    rows.rows = count;
    return rows;
  }
  ChunkMaker Make(const ChunkMaker::Options& options) {
    return {options, dataset_.get(), RowRange{0, 100}, &pool_};
  }

  DatasetCatalog catalog_{""};
  std::shared_ptr<const Dataset> dataset_;
  BufferPool pool_{1 << 20, 4};
  std::vector<float> logits_;
};

TEST_F(ChunkTest, WireBytesAreThoseOfTheGeneratedClass) {
  for (const Encoding encoding :
       {Encoding::kFloat32, Encoding::kFloat16, Encoding::kInt8, Encoding::kTopK}) {
    for (const double temperature : {1.0, 4.0}) {
      for (const bool samples : {false, true}) {
        for (const int64_t first : {0, 1, 70}) {
          ChunkMaker::Options options;
          options.format.encoding = encoding;
          options.format.temperature = temperature;
          options.format.top_k = encoding == Encoding::kTopK ? 3 : 0;
          options.include_samples = samples;
          ASSERT_OK_AND_ASSIGN(const SoftTargetChunk chunk, Make(options).Make(Rows(first, 30)));
          EXPECT_EQ(chunk.rows, 30);
          ASSERT_FALSE(chunk.tensors.empty());
          EXPECT_EQ(Wire(chunk), Generated(chunk));
        }
      }
    }
  }
}

TEST_F(ChunkTest, RawLogitsAreNotCopied) {
  const LogitRows rows = Rows(3, 20);
  ASSERT_OK_AND_ASSIGN(const SoftTargetChunk chunk, Make({}).Make(rows));
  ASSERT_EQ(chunk.tensors.size(), 1U);
  EXPECT_EQ(chunk.tensors[0].bytes.data(), rows.data);
  EXPECT_EQ(chunk.tensors[0].bytes.size(), 20U * 10 * 4);
}

TEST_F(ChunkTest, OtherFormatsAreWhatTheEncoderMakes) {
  ChunkMaker::Options options;
  options.format.encoding = Encoding::kTopK;
  options.format.top_k = 2;
  options.format.temperature = 3;
  ASSERT_OK_AND_ASSIGN(const SoftTargetChunk chunk, Make(options).Make(Rows(10, 5)));
  const EncodedRows expected = EncodeSoftTargets(&logits_[100], 5, 10, options.format);
  ASSERT_EQ(chunk.tensors.size(), 3U);
  EXPECT_EQ(std::string(chunk.tensors[0].bytes), expected.values);
  EXPECT_EQ(std::string(chunk.tensors[1].bytes), expected.class_indexes);
  EXPECT_EQ(std::string(chunk.tensors[2].bytes), expected.tail_mass);
  EXPECT_EQ(chunk.tensors[1].type, ElementType::kInt16);
}

TEST_F(ChunkTest, SamplesAreTheViewsBytesAndTheLabels) {
  ChunkMaker::Options options;
  options.format.representation = Representation::kNone;
  options.include_samples = true;
  options.view.augmentation = *Augmentation::Parse("jitter:2+flip");
  options.view.seed = 3;
  options.view.view = 1;
  ASSERT_OK_AND_ASSIGN(const SoftTargetChunk chunk, Make(options).MakeSamples(60, 40));
  EXPECT_EQ(chunk.start_row, 60);
  ASSERT_EQ(chunk.tensors.size(), 2U);
  std::vector<int64_t> rows(40);
  std::vector<int32_t> labels;
  for (int64_t i = 0; i < 40; ++i) {
    rows[static_cast<size_t>(i)] = 60 + i;
    labels.push_back(dataset_->Label(60 + i));
  }
  std::string pixels(40 * 64, '\0');
  ASSERT_THAT(LoadRecords(*dataset_, rows, options.view, reinterpret_cast<uint8_t*>(pixels.data())),
              IsOk());
  EXPECT_EQ(std::string(chunk.tensors[0].bytes), pixels);
  EXPECT_EQ(std::string(chunk.tensors[1].bytes),
            std::string(reinterpret_cast<const char*>(labels.data()), labels.size() * 4));
  EXPECT_EQ(Wire(chunk), Generated(chunk));
}

TEST_F(ChunkTest, AChunkHoldsWhatFitsAndAtLeastOneRow) {
  ChunkMaker::Options options;
  options.max_bytes = 10 * 4 * 7 + 3;
  EXPECT_EQ(Make(options).Make(Rows(0, 100))->rows, 7);
  options.max_bytes = 1;
  EXPECT_EQ(Make(options).Make(Rows(0, 100))->rows, 1);
}

TEST_F(ChunkTest, RowsInAFileAreReadAndNoMoreThanMaxBytesOfThem) {
  const TemporaryFolder folder;
  LogitFileSpec spec;
  spec.rows = 100;
  spec.classes = 10;
  {
    ASSERT_OK_AND_ASSIGN(const auto file, UnfinishedLogitFile::Create(folder.File("a"), spec));
    ASSERT_THAT(file->Write(0, {reinterpret_cast<const char*>(logits_.data()), 4000}), IsOk());
    ASSERT_THAT(file->Complete(absl::UnixEpoch()), IsOk());
    ASSERT_THAT(file->Rename(), IsOk());
  }
  ASSERT_OK_AND_ASSIGN(const LogitFile file, LogitFile::Open(folder.File("a")));
  LogitRows rows;
  ASSERT_OK_AND_ASSIGN(const auto checksums, file.Check(spec));
  ASSERT_OK_AND_ASSIGN(rows.file, file.Logits(spec, checksums));
  rows.first_row = 7;
  rows.rows = 93;
  ChunkMaker::Options options;
  options.max_bytes = 400;
  ASSERT_OK_AND_ASSIGN(const SoftTargetChunk raw, Make(options).Make(rows));
  EXPECT_EQ(raw.crc32c, Crc32c({reinterpret_cast<const char*>(&logits_[70]), 400}));
  EXPECT_EQ(raw.rows, 10);
  EXPECT_EQ(std::memcmp(raw.tensors[0].bytes.data(), &logits_[70], 400), 0);
  options.format.encoding = Encoding::kTopK;
  options.format.top_k = 1;
  ASSERT_OK_AND_ASSIGN(const SoftTargetChunk top, Make(options).Make(rows));
  EXPECT_FALSE(top.crc32c.has_value());
  EXPECT_EQ(top.rows, 10);
  EXPECT_EQ(Wire(top), Wire(*Make(options).Make(Rows(7, 10))));
}

TEST(BufferPool, UsesBuffersAgainAndTheyMayOutliveIt) {
  std::shared_ptr<char> kept;
  {
    BufferPool pool(100, 1);
    char* first = nullptr;
    {
      const std::shared_ptr<char> buffer = pool.Take(100);
      first = buffer.get();
    }
    kept = pool.Take(50);
    EXPECT_EQ(kept.get(), first);
    EXPECT_NE(pool.Take(101), nullptr);
  }
  kept.get()[99] = 'x';
}

}  // namespace
}  // namespace distillery
