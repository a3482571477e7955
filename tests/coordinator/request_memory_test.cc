#include "coordinator/request_memory.h"

#include <gtest/gtest.h>

namespace distillery {
namespace {

TEST(RequestMemory, TheOldestIsForgottenWhenThereAreTooMany) {
  RequestMemory memory;
  const auto id = [](size_t i) { return "request-" + std::to_string(i); };
  for (size_t i = 0; i < RequestMemory::kMost; ++i) memory.insert(id(i));
  memory.insert(id(0));  // known: takes no place
  EXPECT_EQ(memory.count(id(0)), 1);
  memory.insert(id(RequestMemory::kMost));
  EXPECT_EQ(memory.size(), RequestMemory::kMost);
  EXPECT_EQ(memory.count(id(0)), 0);
  EXPECT_EQ(memory.count(id(1)), 1);
}

}  // namespace
}  // namespace distillery
