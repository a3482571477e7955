// DatasetFinder: own files first, then the teachers, each split once.
#include "student_worker/rpc/dataset_finder.h"

#include "tests/common/data/files.h"
#include "tests/common/log_lines.h"
#include "tests/common/temporary_folder.h"
#include "tests/student_worker/rpc/scripted_samples.h"

namespace distillery {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

using Request = v1::StreamSoftTargetsRequest;
using Writer = ScriptedTeacher::Writer;

// A teacher of all splits of "pictures".
class DatasetFinderTest : public ::testing::Test {
 protected:
  DatasetFinderTest()
      : teacher_([](size_t, const Request& request, Writer* writer) {
          return ServeSamples(*Pictures(request.dataset().split()), request, writer);
        }) {
    teacher_.describe = [](const v1::DescribeDatasetRequest& request,
                           v1::DescribeDatasetResponse* response) -> grpc::Status {
      if (request.dataset().name() != "pictures") {
        return {grpc::StatusCode::NOT_FOUND, "the teacher knows no such data"};
      }
      FillDescription(*Pictures(request.dataset().split()), response);
      return grpc::Status::OK;
    };
  }

  void Start(const std::string& data_dir = "") {
    options_.data_dir = data_dir;
    finder_ = std::make_unique<DatasetFinder>(options_, teachers_.get());
  }
  absl::StatusOr<std::shared_ptr<const Dataset>> Find(const DatasetReference& reference,
                                                      const std::string& digest = "") {
    return finder_->Find(reference, digest,
                         {&canceller_,
                          [this](const std::string& text) {
                            told_.push_back(text);
                            if (!text.empty()) cancelled_ = true;
                          },
                          [this] { return cancelled_; }});
  }

  ScriptedTeacher teacher_;
  std::unique_ptr<TeacherChannels> teachers_ = TeacherChannels::Of(teacher_.channel(), "t:1");
  CallCanceller canceller_;
  DatasetFinder::Options options_;
  std::unique_ptr<DatasetFinder> finder_;
  bool cancelled_ = false;
  std::vector<std::string> told_;
};

TEST_F(DatasetFinderTest, WhatIsHereIsNotFetched) {
  Start();
  ASSERT_OK_AND_ASSIGN(const auto dataset, Find({"digits", "test", 100}));
  EXPECT_EQ(dataset->reference().name, "digits");
  EXPECT_EQ(teacher_.describe_count, 0);
}

TEST_F(DatasetFinderTest, OwnFilesComeBeforeTheTeachers) {
  const TemporaryFolder folder;
  WriteIdxFolder(folder.File("pictures"));
  Start(folder.path());
  ASSERT_OK_AND_ASSIGN(const auto dataset, Find({"pictures", "train", 100}));
  EXPECT_EQ(dataset->size(), 3);
  EXPECT_EQ(teacher_.describe_count, 0);
}

TEST_F(DatasetFinderTest, EachSplitIsFetchedOnceAndAnnouncedOnce) {
  Start();
  LogLines log;
  for (int i = 0; i < 3; ++i) {
    for (const char* const split : {"validation", "test"}) {
      ASSERT_OK_AND_ASSIGN(const auto dataset, Find({"pictures", split, 100}));
      ExpectSame(*dataset, *Pictures(split));
    }
  }
  // 280 and 397 rows in shards of 100: what is kept is asked for again by its digest alone.
  EXPECT_EQ(teacher_.requests().size(), 3 + 4);
  EXPECT_EQ(teacher_.describe_count, 6);
  EXPECT_THAT(
      log.Of("info"),
      ElementsAre(AllOf(HasSubstr("data set pictures/validation@100 is not here (unknown data set"),
                        HasSubstr("): asking the teacher for it")),
                  HasSubstr("280 samples"), HasSubstr("pictures/test@100 is not here"),
                  HasSubstr("samples")));
}

TEST_F(DatasetFinderTest, OneThatARunIsNotBoundToIsFetchedAnew) {
  Start();
  ASSERT_OK_AND_ASSIGN(const auto dataset, Find({"pictures", "validation", 100}));
  EXPECT_THAT(Find({"pictures", "validation", 100}, dataset->digest()), IsOk());
  EXPECT_EQ(teacher_.describe_count, 1);
  EXPECT_THAT(Find({"pictures", "validation", 100}, "another"),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("expected another")));
  EXPECT_EQ(teacher_.describe_count, 2);
}

TEST_F(DatasetFinderTest, FilesThatChangedAtTheTeacherAreNotAnsweredFromWhatIsKept) {
  Start();
  ASSERT_OK_AND_ASSIGN(const auto before, Find({"pictures", "validation", 100}));
  teacher_.describe = [](const v1::DescribeDatasetRequest&,
                         v1::DescribeDatasetResponse* response) -> grpc::Status {
    FillDescription(*Pictures("test"), response);
    return grpc::Status::OK;
  };
  LogLines log;
  // The teacher of this test sends other rows than it describes now, so the fetch fails: what
  // matters is that one is begun.
  EXPECT_FALSE(Find({"pictures", "validation", 100}).ok());
  EXPECT_THAT(log.Of("info"), Contains(HasSubstr("pictures/validation@100 has changed")));
  // A run that is bound to the old ones still finds them.
  EXPECT_THAT(Find({"pictures", "validation", 100}, before->digest()), IsOk());
}

TEST_F(DatasetFinderTest, WhatIsKeptServesWhileNoTeacherAnswers) {
  Start();
  ASSERT_OK_AND_ASSIGN(const auto before, Find({"pictures", "validation", 100}));
  teacher_.describe = [](const v1::DescribeDatasetRequest&,
                         v1::DescribeDatasetResponse*) -> grpc::Status {
    return {grpc::StatusCode::UNAVAILABLE, "loading"};
  };
  ASSERT_OK_AND_ASSIGN(const auto after, Find({"pictures", "validation", 100}));
  EXPECT_EQ(after->digest(), before->digest());
}

TEST_F(DatasetFinderTest, TheOnesUsedLastAreKeptAsLongAsTheyFit) {
  // Two splits of 280 and of 397 images of 64 bytes; the third has 1120.
  options_.remote.max_bytes = (280 + 1120) * 64;
  Start();
  // By digest, as training tasks do: what is kept then needs no word of the teacher.
  const auto find = [&](const std::string& split) {
    ASSERT_THAT(Find({"pictures", split, 100}, Pictures(split)->digest()), IsOk());
  };
  find("validation");
  find("fit");
  find("validation");
  find("fit");
  EXPECT_EQ(teacher_.describe_count, 2);
  find("validation");
  find("test");  // and "fit" has to go
  EXPECT_EQ(teacher_.describe_count, 3);
  find("test");
  find("validation");
  EXPECT_EQ(teacher_.describe_count, 3);
  find("fit");
  EXPECT_EQ(teacher_.describe_count, 4);
}

TEST_F(DatasetFinderTest, WhatNobodyHasIsNotFoundInTheWordsOfBoth) {
  Start();
  EXPECT_THAT(Find({"pictuers", "test", 100}),
              StatusIs(absl::StatusCode::kNotFound,
                       AllOf(HasSubstr("the worker: unknown data set \"pictuers\""),
                             HasSubstr("no --data-dir"),
                             HasSubstr("; the teacher: the teacher knows no such data"))));
}

TEST_F(DatasetFinderTest, WithoutATeacherTheFilesHaveTheLastWord) {
  DatasetFinder finder(options_, nullptr);
  EXPECT_THAT(finder.Find({"pictures", "test", 100}, "", {}),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("unknown data set \"pictures\"")));
}

TEST_F(DatasetFinderTest, ABadReferenceIsNotTakenToTheTeacher) {
  Start();
  EXPECT_THAT(Find({"pictures", "tset", 100}),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("did you mean \"test\"?")));
  EXPECT_THAT(Find({"../pictures", "test", 100}), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_EQ(teacher_.describe_count, 0);
}

TEST_F(DatasetFinderTest, DamagedFilesAreNotReplacedByTheTeachersSilently) {
  const TemporaryFolder folder;
  WriteIdxFolder(folder.File("pictures"));
  ASSERT_THAT(WriteFileDurably(folder.File("pictures/train-labels-idx1-ubyte"), "damaged"), IsOk());
  Start(folder.path());
  const auto found = Find({"pictures", "train", 100});
  EXPECT_FALSE(found.ok());
  EXPECT_EQ(teacher_.describe_count, 0);
}

TEST_F(DatasetFinderTest, WaitingNamesTheDataSet) {
  teacher_.describe = [](const v1::DescribeDatasetRequest&,
                         v1::DescribeDatasetResponse*) -> grpc::Status {
    return {grpc::StatusCode::UNAVAILABLE, "loading"};
  };
  Start();
  EXPECT_THAT(Find({"pictures", "test", 100}), StatusIs(absl::StatusCode::kCancelled));
  EXPECT_THAT(told_, ElementsAre("data set pictures/test@100 is not here; waiting for teacher t:1: "
                                 "loading"));
}

}  // namespace
}  // namespace distillery
