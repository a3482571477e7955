#include "common/nn/inputs.h"

#include <cmath>

#include "common/nn/normaliser.h"
#include "tests/common/nn/small_model.h"

namespace distillery {
namespace {

TEST(Inputs, NormaliseWorksPerChannel) {
  ModelCard card = SmallCard();
  card.samples = SampleSpec::Pictures({2, 1, 1}, 255);
  card.mean = {0.5F, 1};
  card.deviation = {0.25F, 2};
  const at::Tensor pixels = torch::tensor({1.0F, 0.0F}).view({1, 2, 1, 1});
  const at::Tensor got = Normaliser(card, at::Device(at::kCPU))({pixels})[0];
  EXPECT_EQ(got[0][0].item<float>(), 2);      // (1 - 0.5) / 0.25
  EXPECT_EQ(got[0][1].item<float>(), -0.5F);  // (0 - 1) / 2
  EXPECT_EQ(pixels[0][0].item<float>(), 1) << "the caller's pixels stay as they are";
}

TEST(Inputs, CardOfADataSetHasItsMeanAndDeviation) {
  // Brightness 0, 1/4, 1/2 and 1: mean 7/16; variance (0 + 1/16 + 1/4 + 1)/4 - 49/256 = 35/256.
  ASSERT_OK_AND_ASSIGN(const ModelCard card,
                       CardForDataset(*UniformImages({0, 1, 2, 4}, {0, 0, 1, 1}), "mlp:4-2"));
  EXPECT_EQ(card.architecture, "mlp:4-2");
  EXPECT_TRUE(card.samples.picture_shape() == (ImageShape{1, 2, 2}));
  EXPECT_EQ(card.class_names, (std::vector<std::string>{"dark", "light"}));
  ASSERT_EQ(card.mean.size(), 1U);
  EXPECT_FLOAT_EQ(card.mean[0], 0.4375F);
  EXPECT_FLOAT_EQ(card.deviation[0], std::sqrt(35.0F) / 16);
  EXPECT_FALSE(card.outputs_probabilities);
}

TEST(Inputs, CardOfBlankDataDividesByOne) {
  ASSERT_OK_AND_ASSIGN(const ModelCard card,
                       CardForDataset(*UniformImages({3, 3}, {0, 1}), "mlp:4-2"));
  EXPECT_FLOAT_EQ(card.mean[0], 0.75F);
  EXPECT_EQ(card.deviation[0], 1);
}

TEST(Inputs, RowsAreLoadedAsPixelsAndLabelsInTheOrderAsked) {
  const auto dataset = UniformImages({0, 1, 2, 3, 4}, {0, 1, 0, 1, 0});
  const std::vector<int64_t> rows = {4, 0, 4};
  ASSERT_OK_AND_ASSIGN(const LoadedSamples samples, LoadSamples(*dataset, rows, View{}));
  const at::Tensor& inputs = samples.inputs.at(0);
  const at::Tensor& labels = samples.labels;
  ASSERT_EQ(inputs.sizes(), (std::vector<int64_t>{3, 1, 2, 2}));
  for (int64_t i = 0; i < 3; ++i) {
    const int64_t stored = dataset->StoredIndex(rows[i]);  // image i has the brightness i / 4
    EXPECT_TRUE(at::equal(inputs[i], torch::full({1, 2, 2}, static_cast<double>(stored) / 4)));
    EXPECT_EQ(labels[i].item<int64_t>(), stored % 2);
  }
}

}  // namespace
}  // namespace distillery
