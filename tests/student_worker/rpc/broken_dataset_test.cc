// RemoteDatasetClient and teachers that break off, lie, or have too much.
#include <sys/resource.h>

#include <atomic>
#include <csignal>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "student_worker/rpc/remote_dataset.h"
#include "tests/common/log_lines.h"
#include "tests/student_worker/rpc/scripted_samples.h"
#include "tests/student_worker/teachers/fake_resolver.h"

namespace distillery {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;

using Request = v1::StreamSoftTargetsRequest;
using Writer = ScriptedTeacher::Writer;

constexpr const char* kNames[] = {"10.0.0.1:1", "10.0.0.2:1"};

class BrokenDataset : public ::testing::Test {
 protected:
  BrokenDataset() { options_.clock = &clock_; }

  // By the teachers of which there are one or two; gives up when they were asked too often.
  absl::StatusOr<std::shared_ptr<const Dataset>> Fetch(
      std::vector<std::unique_ptr<ScriptedTeacher>> teachers,
      const std::string& expected_digest = "") {
    asked_ = std::move(teachers);
    std::string list;
    for (size_t i = 0; i < asked_.size(); ++i) list += absl::StrCat(i == 0 ? "" : ",", kNames[i]);
    TeacherAddresses::Options addresses;
    addresses.clock = &clock_;
    TeacherSet::Options set;
    set.clock = &clock_;
    TeacherChannels channels(
        std::make_unique<TeacherSet>(
            *TeacherAddresses::Create(list, std::make_shared<FakeResolver>(), addresses), set),
        [this](const TeacherAddress& address) {
          return Connection::Of(asked_[address.target == kNames[0] ? 0 : 1]->channel());
        });
    CallCanceller canceller;
    RemoteDatasetClient client(options_, &channels, &canceller, [this](const std::string& text) {
      told_.push_back(text);
      clock_.Advance(absl::Milliseconds(100));  // whom it waits for is worth asking again
    });
    return client.Fetch(pictures_->reference(), expected_digest, [this] {
      size_t calls = 0;
      for (const auto& teacher : asked_) {
        calls += teacher->requests().size() + static_cast<size_t>(teacher->describe_count);
      }
      return cancelled_.load() || calls > 20;
    });
  }
  absl::StatusOr<std::shared_ptr<const Dataset>> Fetch(std::unique_ptr<ScriptedTeacher> teacher) {
    std::vector<std::unique_ptr<ScriptedTeacher>> teachers;
    teachers.push_back(std::move(teacher));
    return Fetch(std::move(teachers));
  }
  // One that sends what `change` makes of the true description.
  std::unique_ptr<ScriptedTeacher> Describes(
      const std::function<void(v1::DescribeDatasetResponse*)>& change) {
    auto teacher = TeacherOf(pictures_);
    teacher->describe = [this, change](const v1::DescribeDatasetRequest&,
                                       v1::DescribeDatasetResponse* response) {
      FillDescription(*pictures_, response);
      change(response);
      return grpc::Status::OK;
    };
    return teacher;
  }
  static std::vector<std::pair<int64_t, int64_t>> ShardsAndRows(const ScriptedTeacher& teacher) {
    std::vector<std::pair<int64_t, int64_t>> asked;
    for (const Request& request : teacher.requests()) {
      asked.emplace_back(request.shard(), request.start_row());
    }
    return asked;
  }

  const std::shared_ptr<const Dataset> pictures_ = Pictures();
  FakeClock clock_;
  RemoteDatasetClient::Options options_;
  std::vector<std::unique_ptr<ScriptedTeacher>> asked_;
  std::vector<std::string> told_;
  std::atomic<bool> cancelled_{false};
};

TEST_F(BrokenDataset, WholeStreamsGiveTheSameDataSet) {
  ASSERT_OK_AND_ASSIGN(const auto dataset, Fetch(TeacherOf(pictures_)));
  ExpectSame(*dataset, *pictures_);
  EXPECT_THAT(ShardsAndRows(*asked_[0]), ElementsAre(Pair(0, 0), Pair(1, 0), Pair(2, 0)));
  for (const Request& request : asked_[0]->requests()) {
    EXPECT_TRUE(request.include_samples());
    EXPECT_EQ(request.representation(), v1::REPRESENTATION_NONE);
    EXPECT_EQ(request.expected_dataset_digest(), pictures_->digest());
    EXPECT_EQ(request.augmentation().name(), "") << "augmented here, not there";
  }
  EXPECT_THAT(told_, IsEmpty());
}

TEST_F(BrokenDataset, GoesOnAtTheNextRowAfterABrokenStream) {
  ASSERT_OK_AND_ASSIGN(
      const auto dataset,
      Fetch(TeacherOf(pictures_,
                      [&](size_t call, const Request& request, Writer* writer) -> grpc::Status {
                        if (call != 1 && call != 2)
                          return ServeSamples(*pictures_, request, writer);
                        SampleStream stream(pictures_.get(), request);
                        writer->Write(stream.Header());
                        writer->Write(stream.Chunk(30));
                        if (call == 1) return {grpc::StatusCode::UNAVAILABLE, "draining"};
                        return grpc::Status::OK;  // without its trailer
                      })));
  ExpectSame(*dataset, *pictures_);
  EXPECT_THAT(ShardsAndRows(*asked_[0]),
              ElementsAre(Pair(0, 0), Pair(1, 0), Pair(1, 30), Pair(1, 60), Pair(2, 0)));
}

TEST_F(BrokenDataset, Fault09_GoesOnAtAnotherTeacherFromTheFirstMissingRow) {
  const auto break_off = [this](size_t, const Request& request, Writer* writer) -> grpc::Status {
    SampleStream stream(pictures_.get(), request);
    writer->Write(stream.Header());
    writer->Write(stream.Chunk(30));
    return {grpc::StatusCode::UNAVAILABLE, "killed"};
  };
  // Whichever is preferred for a shard: at least one of the three begins at the one that breaks
  // off, unless its first failure left it resting before its turn came.
  const std::string first =
      RendezvousOrder({pictures_->digest(), 0, 0}, {kNames[0], kNames[1]}).front();
  std::vector<std::unique_ptr<ScriptedTeacher>> teachers(2);
  const size_t broken = first == kNames[0] ? 0 : 1;
  teachers[broken] = TeacherOf(pictures_, break_off);
  teachers[1 - broken] = TeacherOf(pictures_);
  ASSERT_OK_AND_ASSIGN(const auto dataset, Fetch(std::move(teachers)));
  ExpectSame(*dataset, *pictures_);
  EXPECT_THAT(ShardsAndRows(*asked_[broken]), ElementsAre(Pair(0, 0)));
  EXPECT_THAT(ShardsAndRows(*asked_[1 - broken]), ElementsAre(Pair(0, 30), Pair(1, 0), Pair(2, 0)));
  EXPECT_THAT(told_, IsEmpty()) << "nobody waited";
}

TEST_F(BrokenDataset, AFlippedBitIsDataLoss) {
  EXPECT_THAT(Fetch(TeacherOf(pictures_,
                              [&](size_t, const Request& request, Writer* writer) {
                                SampleStream stream(pictures_.get(), request);
                                writer->Write(stream.Header());
                                auto chunk = stream.Chunk(stream.left());
                                (*chunk.mutable_chunk()->mutable_inputs()->mutable_data())[99] ^= 1;
                                writer->Write(chunk);
                                writer->Write(stream.Trailer());
                                return grpc::Status::OK;
                              })),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("trailer")));
}

TEST_F(BrokenDataset, ADamagedShardIsAskedOfTheOtherTeacherFromItsStart) {
  const auto damage = [this](size_t, const Request& request, Writer* writer) {
    SampleStream stream(pictures_.get(), request);
    writer->Write(stream.Header());
    writer->Write(stream.Chunk(30));
    auto trailer = stream.Trailer();
    trailer.mutable_trailer()->set_crc32c(trailer.trailer().crc32c() ^ 1U);
    writer->Write(trailer);
    return grpc::Status::OK;
  };
  std::vector<std::unique_ptr<ScriptedTeacher>> teachers;
  teachers.push_back(TeacherOf(pictures_, damage));
  teachers.push_back(TeacherOf(pictures_));
  ASSERT_OK_AND_ASSIGN(const auto dataset, Fetch(std::move(teachers)));
  ExpectSame(*dataset, *pictures_);
  EXPECT_THAT(ShardsAndRows(*asked_[1]), ElementsAre(Pair(0, 0), Pair(1, 0), Pair(2, 0)));
}

TEST_F(BrokenDataset, OtherBytesThanDescribedAreDataLoss) {
  EXPECT_THAT(
      Fetch(TeacherOf(pictures_,
                      [&](size_t, const Request& request, Writer* writer) {
                        SampleStream stream(pictures_.get(), request);
                        writer->Write(stream.Header());
                        // With a checksum that fits: only the digest can tell.
                        writer->Write(stream.Chunk(stream.left(), request.shard() == 2 ? 1 : 0));
                        writer->Write(stream.Trailer());
                        return grpc::Status::OK;
                      })),
      StatusIs(absl::StatusCode::kDataLoss, AllOf(HasSubstr("what the teacher sent has the digest"),
                                                  HasSubstr(pictures_->digest()))));
}

TEST_F(BrokenDataset, ChunksThatAreNoSamplesAreDataLoss) {
  using Change = std::function<void(v1::SoftTargetChunk*)>;
  const std::vector<Change> changes = {
      [](v1::SoftTargetChunk* chunk) { chunk->clear_inputs(); },
      [](v1::SoftTargetChunk* chunk) { chunk->clear_labels(); },
      [](v1::SoftTargetChunk* chunk) { chunk->mutable_inputs()->mutable_data()->pop_back(); },
      [](v1::SoftTargetChunk* chunk) { chunk->mutable_labels()->mutable_data()->pop_back(); },
      [](v1::SoftTargetChunk* chunk) { chunk->mutable_inputs()->set_shape(1, 2); },
      [](v1::SoftTargetChunk* chunk) { chunk->mutable_inputs()->add_shape(1); },
      [](v1::SoftTargetChunk* chunk) { chunk->mutable_labels()->set_shape(0, -1); },
      [](v1::SoftTargetChunk* chunk) { chunk->mutable_labels()->set_shape(0, INT64_MAX); },
      [](v1::SoftTargetChunk* chunk) {
        chunk->mutable_inputs()->set_data_type(v1::DATA_TYPE_INT8);
      },
      [](v1::SoftTargetChunk* chunk) { chunk->set_start_row(1); },
  };
  for (size_t i = 0; i < changes.size(); ++i) {
    EXPECT_THAT(Fetch(TeacherOf(pictures_,
                                [&](size_t, const Request& request, Writer* writer) {
                                  SampleStream stream(pictures_.get(), request);
                                  writer->Write(stream.Header());
                                  auto chunk = stream.Chunk(stream.left());
                                  changes[i](chunk.mutable_chunk());
                                  writer->Write(chunk);
                                  writer->Write(stream.Trailer());
                                  return grpc::Status::OK;
                                })),
                StatusIs(absl::StatusCode::kDataLoss))
        << i;
    EXPECT_THAT(asked_[0]->requests(), SizeIs(1)) << i;
  }
}

TEST_F(BrokenDataset, RowsBeyondTheShardAreDataLoss) {
  EXPECT_THAT(Fetch(TeacherOf(pictures_,
                              [&](size_t, const Request& request, Writer* writer) {
                                SampleStream stream(pictures_.get(), request);
                                writer->Write(stream.Header());
                                writer->Write(stream.Chunk(101));
                                writer->Write(stream.Trailer());
                                return grpc::Status::OK;
                              })),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("1 to 100 rows")));
}

TEST_F(BrokenDataset, AStreamOfOtherDataIsAFailedPrecondition) {
  const auto train = Pictures("train");
  EXPECT_THAT(Fetch(TeacherOf(pictures_,
                              [train](size_t, const Request& request, Writer* writer) {
                                return ServeSamples(*train, request, writer);
                              })),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr(train->digest())));
}

TEST_F(BrokenDataset, DescriptionsOfNoDataSetAreDataLossBeforeAnyStream) {
  using Change = std::function<void(v1::DescribeDatasetResponse*)>;
  const std::vector<std::pair<std::string, Change>> changes = {
      {"input_shape", [](auto* r) { r->clear_input_shape(); }},
      {"input_shape", [](auto* r) { r->set_input_shape(0, -1); }},
      {"input_shape", [](auto* r) { r->set_input_shape(1, int64_t{1} << 40); }},
      {"input_shape", [](auto* r) { r->add_input_shape(1); }},
      {"pixel_max", [](auto* r) { r->set_pixel_max(0); }},
      {"pixel_max", [](auto* r) { r->set_pixel_max(256); }},
      {"sample_count", [](auto* r) { r->set_sample_count(0); }},
      {"stored_indexes", [](auto* r) { r->set_sample_count(279); }},
      {"stored_indexes", [](auto* r) { r->clear_stored_indexes(); }},
      {"stored_indexes", [](auto* r) { r->mutable_stored_indexes()->mutable_data()->pop_back(); }},
      {"class", [](auto* r) { r->clear_class_names(); }},
  };
  for (const auto& [part, change] : changes) {
    EXPECT_THAT(
        Fetch(Describes(change)),
        StatusIs(absl::StatusCode::kDataLoss,
                 AllOf(HasSubstr("description of pictures/validation@100"), HasSubstr(part))));
    EXPECT_THAT(asked_[0]->requests(), IsEmpty());
  }
}

TEST_F(BrokenDataset, StoredIndexesOutsideTheDataSetAreDataLoss) {
  EXPECT_THAT(Fetch(Describes([](auto* response) { response->set_stored_sample_count(100); })),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("is none of 100 samples")));
}

TEST_F(BrokenDataset, TooManyBytesAreRefusedWithTheSizesBeforeAnyStream) {
  options_.max_bytes = 280 * 64 - 1;
  EXPECT_THAT(Fetch(TeacherOf(pictures_)),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       "pictures/validation@100: 280 images of 64 bytes are more than the 17919 "
                       "bytes that a worker takes: give it the files (--data-dir)"));
  EXPECT_THAT(asked_[0]->requests(), IsEmpty());
  options_.max_bytes = 280 * 64;
  EXPECT_THAT(Fetch(TeacherOf(pictures_)), IsOk());
}

// The limit on the size of a file stands for a full disk: both refuse the next byte.
class FileSizeLimit {
 public:
  FileSizeLimit() : handler_(std::signal(SIGXFSZ, SIG_IGN)) { getrlimit(RLIMIT_FSIZE, &before_); }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }
  void Set(rlim_t bytes) {
    rlimit limit = before_;
    limit.rlim_cur = bytes;
    setrlimit(RLIMIT_FSIZE, &limit);
  }

 private:
  void (*const handler_)(int);
  rlimit before_{};
};

TEST_F(BrokenDataset, AFullDiskIsToldBeforeAnyStreamWithTheWayOut) {
  FileSizeLimit limit;
  limit.Set(280 * 64 - 1);
  EXPECT_THAT(Fetch(TeacherOf(pictures_)),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       AllOf(HasSubstr("pictures/validation@100: "), HasSubstr("17920 bytes"),
                             HasSubstr("set TMPDIR"))));
  EXPECT_THAT(asked_[0]->requests(), IsEmpty());
}

TEST_F(BrokenDataset, ADiskThatFillsMeanwhileEndsTheFetch) {
  FileSizeLimit limit;
  EXPECT_THAT(Fetch(TeacherOf(pictures_,
                              [&](size_t, const Request& request, Writer* writer) {
                                limit.Set(8192);
                                return ServeSamples(*pictures_, request, writer);
                              })),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("set TMPDIR")));
  EXPECT_THAT(ShardsAndRows(*asked_[0]), ElementsAre(Pair(0, 0), Pair(1, 0)));
}

TEST_F(BrokenDataset, WithoutAPlaceForATemporaryFileNothingIsFetched) {
  options_.spool_folder = "/nonexistent";
  EXPECT_THAT(Fetch(TeacherOf(pictures_)),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("set TMPDIR")));
  EXPECT_THAT(asked_[0]->requests(), IsEmpty());
}

TEST_F(BrokenDataset, LabelsThatAreNoClassesAreDataLoss) {
  for (const int32_t label : {-1, 10, 65536}) {
    EXPECT_THAT(Fetch(TeacherOf(pictures_,
                                [&](size_t, const Request& request, Writer* writer) {
                                  SampleStream stream(pictures_.get(), request);
                                  writer->Write(stream.Header());
                                  auto chunk = stream.Chunk(stream.left());
                                  std::string* const labels =
                                      chunk.mutable_chunk()->mutable_labels()->mutable_data();
                                  std::memcpy(labels->data() + 8, &label, sizeof(label));
                                  writer->Write(chunk);
                                  writer->Write(stream.Trailer());
                                  return grpc::Status::OK;
                                })),
                StatusIs(absl::StatusCode::kDataLoss, HasSubstr("is none of 10 classes")));
  }
}

TEST_F(BrokenDataset, AnImageLargerThanAMessageIsRefused) {
  EXPECT_THAT(Fetch(Describes([](auto* response) { response->set_input_shape(0, 1 << 16); })),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("does not fit")));
  EXPECT_THAT(asked_[0]->requests(), IsEmpty());
}

TEST_F(BrokenDataset, WhatTheTeacherHoldsForTooLargeIsNotRepeated) {
  auto teacher = TeacherOf(pictures_);
  teacher->describe = [](const v1::DescribeDatasetRequest&, v1::DescribeDatasetResponse*) {
    return grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "too many samples");
  };
  EXPECT_THAT(Fetch(std::move(teacher)),
              StatusIs(absl::StatusCode::kResourceExhausted, "too many samples"));
  EXPECT_EQ(asked_[0]->describe_count, 1);
}

TEST_F(BrokenDataset, TheTeacherWithTheExpectedDigestIsFound) {
  const auto fetch = [&](const std::string& expected) {
    std::vector<std::unique_ptr<ScriptedTeacher>> teachers;
    teachers.push_back(Describes([](auto* response) { response->set_dataset_digest("other"); }));
    teachers.push_back(TeacherOf(pictures_));
    return Fetch(std::move(teachers), expected);
  };
  // Streams of the first are of the right data in truth; only its description is not.
  ASSERT_OK_AND_ASSIGN(const auto dataset, fetch(pictures_->digest()));
  ExpectSame(*dataset, *pictures_);
  EXPECT_THAT(fetch("a digest of nobody's"), StatusIs(absl::StatusCode::kFailedPrecondition,
                                                      HasSubstr("expected a digest of nobody's")));
}

TEST_F(BrokenDataset, WaitsForATeacherThatIsAwayAndSaysSo) {
  auto teacher = TeacherOf(pictures_);
  int calls = 0;
  teacher->describe = [&](const v1::DescribeDatasetRequest&,
                          v1::DescribeDatasetResponse* response) -> grpc::Status {
    if (calls++ == 0) return {grpc::StatusCode::UNAVAILABLE, "away"};
    FillDescription(*pictures_, response);
    return grpc::Status::OK;
  };
  ASSERT_THAT(Fetch(std::move(teacher)), IsOk());
  EXPECT_THAT(told_, ElementsAre("waiting for teacher 10.0.0.1:1: away", ""));
}

TEST_F(BrokenDataset, CancellationEndsAFetch) {
  EXPECT_THAT(Fetch(TeacherOf(pictures_,
                              [&](size_t, const Request&, Writer*) -> grpc::Status {
                                cancelled_.store(true);
                                return {grpc::StatusCode::UNAVAILABLE, "away"};
                              })),
              StatusIs(absl::StatusCode::kCancelled));
  EXPECT_THAT(told_, IsEmpty());
}

TEST_F(BrokenDataset, OnlyALongFetchSaysHowFarItIs) {
  const auto lines = [&](absl::Duration per_shard) {
    LogLines log;
    EXPECT_THAT(Fetch(TeacherOf(pictures_,
                                [&](size_t, const Request& request, Writer* writer) {
                                  clock_.Advance(per_shard);
                                  return ServeSamples(*pictures_, request, writer);
                                })),
                IsOk());
    return log.Of("info");
  };
  EXPECT_THAT(lines(absl::Milliseconds(600)),
              ElementsAre("info data set pictures/validation@100: 280 samples, 0.0 MB, came from "
                          "the teacher in 1.8 s"));
  const std::vector<std::string> slow = lines(absl::Seconds(2));
  EXPECT_THAT(slow, SizeIs(4)) << "one for each shard, and the end";
  EXPECT_THAT(std::vector<std::string>(slow.begin(), slow.end() - 1),
              Each(HasSubstr("MB have come from the teacher")));
}

}  // namespace
}  // namespace distillery
