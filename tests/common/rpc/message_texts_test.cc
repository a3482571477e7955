#include "common/rpc/message_texts.h"

#include <gtest/gtest.h>

#include "distillery/v1/coordinator_service.pb.h"
#include "distillery/v1/teacher_service.pb.h"

namespace distillery {
namespace {

TEST(MessageTexts, Fault56_TextsAtAnyDepthBecomeUtf8AndTheReceiverReadsThem) {
  v1::ListRunsResponse response;
  v1::Run& run = *response.add_runs();
  run.set_state_reason("cannot open a\xff.png\nsecond line");
  run.mutable_spec()->mutable_teacher()->set_model("/tmp/d\xc3/teacher.pt");
  run.mutable_spec()->mutable_scheduling()->add_depends_on("first");
  run.mutable_spec()->mutable_scheduling()->add_depends_on("\xed\xa0\x80");
  MakeTextsWhole(&response);
  v1::ListRunsResponse read;
  ASSERT_TRUE(read.ParseFromString(response.SerializeAsString()));
  EXPECT_EQ(read.runs(0).state_reason(), "cannot open a\\xff.png\nsecond line");
  EXPECT_EQ(read.runs(0).spec().teacher().model(), "/tmp/d\\xc3/teacher.pt");
  EXPECT_EQ(read.runs(0).spec().scheduling().depends_on(0), "first");
  EXPECT_EQ(read.runs(0).spec().scheduling().depends_on(1), "\\xed\\xa0\\x80");
}

TEST(MessageTexts, BytesStayAsTheyAre) {
  v1::Tensor tensor;
  tensor.set_data(std::string("\xff\x00\xfe", 3));
  const std::string before = tensor.SerializeAsString();
  MakeTextsWhole(&tensor);
  EXPECT_EQ(tensor.SerializeAsString(), before);
}

}  // namespace
}  // namespace distillery
