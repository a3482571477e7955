#include "common/base/task_pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>

namespace distillery {
namespace {

TEST(TaskPool, OneThreadRunsInTheOrderGiven) {
  std::vector<int> ran;
  {
    TaskPool pool(1);
    for (int i = 0; i < 5; ++i) pool.Add([&ran, i] { ran.push_back(i); });
  }
  EXPECT_THAT(ran, ::testing::ElementsAre(0, 1, 2, 3, 4));
}

TEST(TaskPool, DestructorRunsWhatWasAdded) {
  std::atomic<int> ran{0};
  {
    TaskPool pool(3);
    for (int i = 0; i < 100; ++i) pool.Add([&ran] { ++ran; });
  }
  EXPECT_EQ(ran.load(), 100);
}

TEST(TaskPool, BlockedTaskDoesNotHoldUpTheOtherThreads) {
  std::promise<void> released;
  TaskPool pool(2);
  pool.Add([&] { released.get_future().wait(); });
  // Only a second thread can run this while the first one waits for it.
  pool.Add([&] { released.set_value(); });
}

TEST(TaskPool, TasksMayAddTasks) {
  std::promise<int> done;
  TaskPool pool(1);
  pool.Add([&] { pool.Add([&] { done.set_value(7); }); });
  EXPECT_EQ(done.get_future().get(), 7);
}

}  // namespace
}  // namespace distillery
