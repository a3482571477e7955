#include "common/base/bounded_queue.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>

namespace distillery {
namespace {

TEST(BoundedQueue, GivesItemsInTheOrderTheyCame) {
  BoundedQueue<int> queue(3);
  for (const int item : {1, 2, 3}) ASSERT_TRUE(queue.Push(item));
  for (const int item : {1, 2, 3}) EXPECT_EQ(queue.Pop(), item);
}

TEST(BoundedQueue, ClosedQueueDrainsThenEnds) {
  BoundedQueue<int> queue(3);
  ASSERT_TRUE(queue.Push(1));
  queue.Close();
  EXPECT_FALSE(queue.Push(2));
  EXPECT_EQ(queue.Pop(), 1);
  EXPECT_EQ(queue.Pop(), std::nullopt);
}

TEST(BoundedQueue, IsReadyWhenPopWouldNotBlock) {
  BoundedQueue<int> queue(1);
  EXPECT_FALSE(queue.Ready());
  ASSERT_TRUE(queue.Push(1));
  EXPECT_TRUE(queue.Ready());
  EXPECT_EQ(queue.Pop(), 1);
  EXPECT_FALSE(queue.Ready());
  queue.Close();
  EXPECT_TRUE(queue.Ready());
}

TEST(BoundedQueue, ProducerNeverGetsFurtherAheadThanTheCapacity) {
  constexpr int kItems = 2000;
  constexpr int kCapacity = 2;
  BoundedQueue<int> queue(kCapacity);
  std::atomic<int> pushed{0};
  std::thread producer([&] {
    for (int i = 0; i < kItems; ++i) {
      EXPECT_TRUE(queue.Push(i));
      ++pushed;
    }
  });
  for (int i = 0; i < kItems; ++i) {
    EXPECT_EQ(queue.Pop(), i);
    EXPECT_LE(pushed.load(), i + 1 + kCapacity);
  }
  producer.join();
}

// Each of these threads may block first or find the queue closed: both ways must end.
TEST(BoundedQueue, CloseEndsABlockedPop) {
  BoundedQueue<int> queue(1);
  std::thread consumer([&] { EXPECT_EQ(queue.Pop(), std::nullopt); });
  queue.Close();
  consumer.join();
}

TEST(BoundedQueue, CloseEndsABlockedPush) {
  BoundedQueue<int> queue(1);
  ASSERT_TRUE(queue.Push(1));
  std::thread producer([&] { EXPECT_FALSE(queue.Push(2)); });
  queue.Close();
  producer.join();
  EXPECT_EQ(queue.Pop(), 1);
  EXPECT_EQ(queue.Pop(), std::nullopt);
}

TEST(BoundedQueue, CarriesWhatCanOnlyBeMoved) {
  BoundedQueue<std::unique_ptr<int>> queue(1);
  ASSERT_TRUE(queue.Push(std::make_unique<int>(7)));
  EXPECT_EQ(**queue.Pop(), 7);
}

}  // namespace
}  // namespace distillery
