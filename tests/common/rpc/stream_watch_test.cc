#include "common/rpc/stream_watch.h"

#include <future>

#include "gtest/gtest.h"

namespace distillery {
namespace {

class Stream : public WatchedStream {
 public:
  explicit Stream(std::function<void()> look = nullptr) : look_(std::move(look)) {}
  void EndIfIdle(absl::Duration /*now*/, absl::Duration /*limit*/) override {
    ++looks;
    if (look_ != nullptr) look_();
  }
  std::atomic<int> looks = 0;

 private:
  const std::function<void()> look_;
};

TEST(StreamWatch, LooksAtThoseThatAreOpen) {
  FakeClock clock;
  int others = 0;
  StreamWatch watch(&clock, absl::Seconds(60), [&] { ++others; });
  Stream stream;
  watch.Add(&stream);
  watch.EndIdle();
  EXPECT_GE(stream.looks, 1);
  EXPECT_GE(others, 1);
  watch.Remove(&stream);
  const int looks = stream.looks;
  watch.EndIdle();
  EXPECT_EQ(stream.looks, looks);
}

TEST(StreamWatch, Fault63_ALookThatTakesLongHoldsUpNeitherBeginningsNorEnds) {
  FakeClock clock;
  StreamWatch watch(&clock, absl::Seconds(60));
  std::promise<void> looking;
  std::promise<void> go_on;
  bool first = true;
  Stream slow([&] {
    if (!first) return;
    first = false;
    looking.set_value();
    go_on.get_future().wait();
  });
  watch.Add(&slow);
  looking.get_future().wait();  // by the watch's own thread
  Stream other;
  watch.Add(&other);
  watch.Remove(&other);
  // Only its own end waits for it, for it must not go while it is being looked at.
  auto removed = std::async(std::launch::async, [&] { watch.Remove(&slow); });
  EXPECT_EQ(removed.wait_for(std::chrono::milliseconds(20)), std::future_status::timeout);
  go_on.set_value();
  removed.get();
}

TEST(StreamWatch, AStreamMayEndWhileItIsLookedAt) {
  FakeClock clock;
  StreamWatch watch(&clock, absl::Seconds(60));
  Stream stream([&] { watch.Remove(&stream); });
  watch.Add(&stream);
  watch.EndIdle();
  EXPECT_EQ(stream.looks, 1);
}

}  // namespace
}  // namespace distillery
