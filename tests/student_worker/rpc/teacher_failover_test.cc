// TeacherClient and several teachers, of which some misbehave.
#include <atomic>
#include <thread>

#include "student_worker/rpc/teacher_client.h"
#include "tests/common/log_lines.h"
#include "tests/student_worker/rpc/scripted_teacher.h"
#include "tests/student_worker/teachers/fake_resolver.h"

namespace distillery {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using Request = v1::StreamSoftTargetsRequest;
using Writer = ScriptedTeacher::Writer;

const std::vector<float> kRows = {0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5};

grpc::Status Serve(size_t /*call*/, const Request& request, Writer* writer) {
  return ServeShard(request, writer);
}
grpc::Status Refuse(size_t /*call*/, const Request& /*request*/, Writer* /*writer*/) {
  return {grpc::StatusCode::UNAVAILABLE, "away"};
}
// Two rows, then the end.
grpc::Status BreakOff(size_t /*call*/, const Request& request, Writer* writer) {
  writer->Write(Header());
  writer->Write(Chunk(request.start_row(), 2));
  return {grpc::StatusCode::UNAVAILABLE, "killed"};
}
grpc::Status Impostor(size_t /*call*/, const Request& request, Writer* writer) {
  return ServeShard(request, writer, "impostor");
}

class TeacherFailover : public ::testing::Test {
 protected:
  // The teachers of a list or of the name "teachers", each by its script. Time stands still.
  void Start(const std::string& list) {
    TeacherAddresses::Options addresses;
    addresses.clock = &clock_;
    TeacherSet::Options options;
    options.clock = &clock_;
    teachers_ = std::make_unique<TeacherChannels>(
        std::make_unique<TeacherSet>(*TeacherAddresses::Create(list, resolver_, addresses),
                                     options),
        [this](const TeacherAddress& address) {
          return Connection::Of(scripted_.at(address.target)->channel());
        });
    client_ = std::make_unique<TeacherClient>(teachers_.get(), &canceller_,
                                              [this](const std::string& text) {
                                                told_.push_back(text);
                                                if (when_told_) when_told_(text);
                                              });
  }
  void Add(const std::string& target, const ScriptedTeacher::Script& script) {
    scripted_[target] = std::make_unique<ScriptedTeacher>(script);
  }
  // Two teachers for shard 0, by its order of preference.
  void StartTwo(const ScriptedTeacher::Script& first, const ScriptedTeacher::Script& second) {
    Add(first_, first);
    Add(second_, second);
    Start("10.0.0.1:1,10.0.0.2:1");
  }
  ScriptedTeacher& at(const std::string& target) { return *scripted_.at(target); }

  absl::Status Read(int64_t shard = 0, const std::string& teacher_digest = "") {
    ShardRequest request = ScriptRequest(shard);
    request.teacher_digest = teacher_digest;
    const absl::Status status = client_->ReadShard(
        &request, [this] { return cancelled_.load(); }, &rows_);
    digest_ = request.teacher_digest;
    return status;
  }
  static std::vector<int64_t> StartRows(const ScriptedTeacher& teacher) {
    std::vector<int64_t> rows;
    for (const Request& request : teacher.requests()) rows.push_back(request.start_row());
    return rows;
  }

  const std::vector<std::string> order_ =
      RendezvousOrder({"data", 0, 0}, {"10.0.0.1:1", "10.0.0.2:1"});
  const std::string first_ = order_[0];
  const std::string second_ = order_[1];
  FakeClock clock_;
  std::shared_ptr<FakeResolver> resolver_ = std::make_shared<FakeResolver>();
  std::map<std::string, std::unique_ptr<ScriptedTeacher>> scripted_;
  CallCanceller canceller_;
  std::unique_ptr<TeacherChannels> teachers_;
  std::unique_ptr<TeacherClient> client_;
  std::atomic<bool> cancelled_{false};
  // What `waiting` was told.
  std::vector<std::string> told_;
  std::function<void(const std::string&)> when_told_;
  // What the last Read gave.
  SoftTargetRows rows_;
  std::string digest_;
};

TEST_F(TeacherFailover, Fault09_GoesOnAtAnotherTeacherFromTheFirstMissingRow) {
  StartTwo(BreakOff, Serve);
  ASSERT_THAT(Read(), IsOk());
  EXPECT_EQ(rows_.values, kRows);
  EXPECT_THAT(StartRows(at(first_)), ElementsAre(0));
  EXPECT_THAT(StartRows(at(second_)), ElementsAre(2));
  EXPECT_EQ(at(second_).requests()[0].expected_teacher_digest(), "teacher");
  EXPECT_EQ(client_->failover_count(), 1);
  EXPECT_THAT(told_, IsEmpty()) << "nobody waited";
}

TEST_F(TeacherFailover, GoesToAndFroWhileBothBreakOff) {
  StartTwo(BreakOff, [](size_t call, const Request& request, Writer* writer) {
    return call == 0 ? BreakOff(call, request, writer) : ServeShard(request, writer);
  });
  when_told_ = [&](const std::string&) { clock_.Advance(absl::Milliseconds(100)); };
  ASSERT_THAT(Read(), IsOk());
  EXPECT_EQ(rows_.values, kRows);
  // Rows 0 and 1 here, 2 and 3 there; then both rest, and the first has the fifth to send: its
  // third chunk would leave the shard, so the second ends it.
  EXPECT_THAT(StartRows(at(second_)), ElementsAre(2, 4));
  EXPECT_EQ(client_->failover_count(), 2 + static_cast<int64_t>(at(first_).requests().size()) - 1);
}

TEST_F(TeacherFailover, ATeacherThatSentNothingIsNoFailOverInMidStream) {
  StartTwo(Refuse, Serve);
  ASSERT_THAT(Read(), IsOk());
  EXPECT_EQ(rows_.values, kRows);
  EXPECT_EQ(client_->failover_count(), 0);
}

TEST_F(TeacherFailover, LiveTeachersShareTheShardsByRendezvous) {
  StartTwo(Serve, Serve);
  for (int64_t shard = 0; shard < 30; ++shard) {
    ASSERT_THAT(Read(shard), IsOk());
    const std::string owner = RendezvousOrder({"data", shard, 0}, order_).front();
    EXPECT_EQ(at(owner).requests().back().shard(), shard);
  }
  EXPECT_EQ(at(first_).requests().size() + at(second_).requests().size(), 30U);
  EXPECT_GT(at(second_).requests().size(), 0U);
}

TEST_F(TeacherFailover, OneThatCameBackHasItsShardsAgain) {
  StartTwo(
      [](size_t call, const Request& request, Writer* writer) {
        return call == 0 ? Refuse(call, request, writer) : ServeShard(request, writer);
      },
      Serve);
  LogLines log;
  ASSERT_THAT(Read(), IsOk());
  ASSERT_THAT(Read(), IsOk());
  EXPECT_EQ(at(first_).requests().size(), 1U) << "left alone for a while";
  clock_.Advance(absl::Milliseconds(100));
  ASSERT_THAT(Read(), IsOk());
  EXPECT_EQ(at(first_).requests().size(), 2U);
  EXPECT_EQ(at(second_).requests().size(), 2U);
  EXPECT_THAT(log.Of("warning"), ElementsAre("warning teacher " + first_ + ": away"));
  EXPECT_THAT(log.Of("info"), ElementsAre("info teacher " + first_ + " is back"));
}

TEST_F(TeacherFailover, AnotherDigestIsLeftOutWithOneWarning) {
  StartTwo(Impostor, Serve);
  LogLines log;
  for (int i = 0; i < 5; ++i) {
    ASSERT_THAT(Read(0, "teacher"), IsOk());
    EXPECT_EQ(rows_.values, kRows);
  }
  EXPECT_EQ(at(first_).requests().size(), 1U);
  clock_.Advance(absl::Seconds(60));
  ASSERT_THAT(Read(0, "teacher"), IsOk());
  EXPECT_EQ(at(first_).requests().size(), 2U) << "asked again after a minute";
  EXPECT_THAT(log.Of("warning"), ElementsAre("warning teacher " + first_ +
                                             " is left out: its "
                                             "digest is impostor, expected teacher"));
}

TEST_F(TeacherFailover, AnotherDigestIsAlsoKnownFromARefusal) {
  StartTwo(
      [](size_t, const Request&, Writer*) -> grpc::Status {
        return {grpc::StatusCode::FAILED_PRECONDITION, "not my digest"};
      },
      Serve);
  at(first_).digest = "impostor";
  LogLines log;
  ASSERT_THAT(Read(0, "teacher"), IsOk());
  ASSERT_THAT(Read(0, "teacher"), IsOk());
  EXPECT_EQ(at(first_).requests().size(), 1U);
  EXPECT_THAT(log.Of("warning"), ElementsAre(HasSubstr("its digest is impostor")));
}

TEST_F(TeacherFailover, ARefusalByATeacherOfTheRightDigestIsNoOtherDigest) {
  StartTwo(
      [](size_t, const Request&, Writer*) -> grpc::Status {
        return {grpc::StatusCode::FAILED_PRECONDITION, "dataset digest differs"};
      },
      Serve);
  at(first_).digest = "teacher";
  LogLines log;
  ASSERT_THAT(Read(0, "teacher"), IsOk());
  ASSERT_THAT(Read(0, "teacher"), IsOk());
  EXPECT_EQ(at(first_).requests().size(), 2U) << "not left out";
  EXPECT_THAT(log.Of("warning"), IsEmpty());
}

TEST_F(TeacherFailover, NoTeacherOfTheDigestIsAFailedPreconditionThatNamesAll) {
  StartTwo(Impostor, [](size_t, const Request& request, Writer* writer) {
    return ServeShard(request, writer, "stranger");
  });
  EXPECT_THAT(Read(0, "teacher"), StatusIs(absl::StatusCode::kFailedPrecondition,
                                           AllOf(HasSubstr("no teacher has digest teacher"),
                                                 HasSubstr(first_ + " has impostor"),
                                                 HasSubstr(second_ + " has stranger"))));
  EXPECT_EQ(digest_, "teacher") << "what is expected does not change";
  EXPECT_THAT(told_, IsEmpty());
}

TEST_F(TeacherFailover, RowsHeldAreNeverMixedWithAnothersAndSurviveIt) {
  StartTwo(
      [](size_t call, const Request& request, Writer* writer) {
        return call == 0 ? BreakOff(call, request, writer) : ServeShard(request, writer);
      },
      Impostor);
  when_told_ = [&](const std::string&) { clock_.Advance(absl::Milliseconds(100)); };
  ASSERT_THAT(Read(), IsOk());
  EXPECT_EQ(rows_.values, kRows);
  EXPECT_THAT(StartRows(at(first_)), ElementsAre(0, 2));
  EXPECT_THAT(StartRows(at(second_)), ElementsAre(2));
  EXPECT_EQ(client_->failover_count(), 1);
  EXPECT_THAT(told_, ElementsAre("waiting for teacher " + first_ + ": killed", ""));
}

TEST_F(TeacherFailover, DamagedRowsAreAskedOfTheOtherFromTheStart) {
  StartTwo(
      [](size_t, const Request&, Writer* writer) {
        writer->Write(Header());
        writer->Write(Chunk(0, 2));
        writer->Write(Chunk(3, 2));  // a gap
        writer->Write(Trailer(0));
        return grpc::Status::OK;
      },
      Serve);
  ASSERT_THAT(Read(), IsOk());
  EXPECT_EQ(rows_.values, kRows);
  EXPECT_THAT(StartRows(at(second_)), ElementsAre(0));
}

TEST_F(TeacherFailover, WhatAllRefuseIsNotRepeated) {
  const auto refuse = [](size_t, const Request&, Writer*) -> grpc::Status {
    return {grpc::StatusCode::NOT_FOUND, "no such shard"};
  };
  StartTwo(refuse, refuse);
  EXPECT_THAT(Read(), StatusIs(absl::StatusCode::kNotFound, "no such shard"));
  EXPECT_EQ(at(first_).requests().size(), 1U);
  EXPECT_EQ(at(second_).requests().size(), 1U);
  EXPECT_THAT(told_, IsEmpty());
}

TEST_F(TeacherFailover, WaitsWhenAllAreAwayAndSaysForWhom) {
  const auto later = [](size_t call, const Request& request, Writer* writer) {
    return call == 0 ? Refuse(call, request, writer) : ServeShard(request, writer);
  };
  StartTwo(later, later);
  when_told_ = [&](const std::string&) { clock_.Advance(absl::Milliseconds(100)); };
  ASSERT_THAT(Read(), IsOk());
  EXPECT_EQ(rows_.values, kRows);
  EXPECT_THAT(told_,
              ElementsAre("waiting for teacher 10.0.0.1:1: away; teacher 10.0.0.2:1: away", ""));
}

TEST_F(TeacherFailover, CancellationEndsWaitingAtOnce) {
  StartTwo(Refuse, Refuse);
  std::thread stopper;
  when_told_ = [&](const std::string&) {
    // Time stands still, so nothing but the cancellation can end the wait.
    stopper = std::thread([&] { cancelled_.store(true); });
  };
  EXPECT_THAT(Read(), StatusIs(absl::StatusCode::kCancelled));
  stopper.join();
  EXPECT_EQ(told_.size(), 1U);
}

TEST_F(TeacherFailover, CancellationDoesNotWaitForALookUp) {
  resolver_->Hang(true);
  Start("teachers:1");
  std::thread stopper([&] { cancelled_.store(true); });
  EXPECT_THAT(Read(), StatusIs(absl::StatusCode::kCancelled));
  stopper.join();
  resolver_->Hang(false);
}

TEST_F(TeacherFailover, ANewAddressOfTheNameGetsItsShardsWithoutARestart) {
  Add(first_, Serve);
  Add(second_, Serve);
  const auto ip = [](const std::string& target) { return target.substr(0, target.find(':')); };
  resolver_->Set("teachers", {ip(second_)});
  Start("teachers:1");
  ASSERT_THAT(Read(), IsOk());
  EXPECT_EQ(at(second_).requests().size(), 1U);
  resolver_->Set("teachers", {ip(first_), ip(second_)});
  clock_.Advance(absl::Seconds(10));
  const absl::Duration end = Clock::Real()->SteadyNow() + kPatience;
  while (at(first_).requests().empty() && Clock::Real()->SteadyNow() < end) {
    ASSERT_THAT(Read(), IsOk());
  }
  EXPECT_EQ(at(first_).requests().size(), 1U);
  EXPECT_EQ(rows_.values, kRows);
  // And one that has gone is asked no more, though it would answer.
  resolver_->Set("teachers", {ip(second_)});
  clock_.Advance(absl::Seconds(10));
  ASSERT_THAT(Read(), IsOk());
  while (teachers_->set().Knows(first_) && Clock::Real()->SteadyNow() < end) {
    ASSERT_THAT(Read(), IsOk());
  }
  const size_t asked = at(first_).requests().size();
  ASSERT_THAT(Read(), IsOk());
  EXPECT_EQ(at(first_).requests().size(), asked);
}

TEST_F(TeacherFailover, WaitsForANameThatHasNoAddressYet) {
  Add("10.0.0.1:1", Serve);
  Start("teachers:1");
  when_told_ = [&](const std::string&) {
    resolver_->Set("teachers", {"10.0.0.1"});
    clock_.Advance(absl::Seconds(10));
  };
  ASSERT_THAT(Read(), IsOk());
  EXPECT_THAT(told_, ElementsAre("waiting for teacher teachers:1 (no such host)", ""));
}

}  // namespace
}  // namespace distillery
