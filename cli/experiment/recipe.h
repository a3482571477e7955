// Settings of the experiments for a data set at a scale.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/data/samples.h"
#include "common/run/run_spec.h"

namespace distillery {

struct ExperimentRecipe {
  std::string dataset;
  // "quick" or "paper".
  std::string scale;
  ImageShape shape;
  std::vector<std::string> class_names;
  // Samples of "train".
  int64_t train_size = 0;

  // alpha 0.
  RunSpec teacher;
  // Distilled, on "train"; training.learning_rate is one of `rates`.
  RunSpec student;
  // Hidden units of each layer of `student`, and how many such layers.
  int64_t width = 0;
  int64_t hidden_layers = 1;
  std::vector<double> rates;

  // The epochs of each student of the studies below but compression, which train many.
  int64_t study_epochs = 0;
  // What the temperature by width study tries.
  std::vector<int64_t> study_widths;
  std::vector<double> study_temperatures;
  // What the sweep tries.
  std::vector<double> sweep_temperatures;
  std::vector<double> sweep_alphas;
  // The widths of the compression curve, ascending.
  std::vector<int64_t> compression_widths;
  // Where hard labels say nothing of a class, alpha is 1 and this the temperature.
  double zero_shot_temperature = 0;
  // What a further pair of students sees its images through; "": there is none.
  std::string augmentation;
  int64_t views = 1;

  bool paper() const { return scale == "paper"; }
  int64_t class_count() const { return static_cast<int64_t>(class_names.size()); }
  // mlp:PIXELS-width-...-CLASSES
  std::string Architecture(int64_t hidden_units) const;
};

// INVALID_ARGUMENT for a scale that is not known or not for this data set, and for data that are no
// pictures with one class each; errors of DatasetCatalog. Any data set has "quick"; "paper" is for
// mnist. Reads the data set's labels, not its pixels.
absl::StatusOr<ExperimentRecipe> ExperimentRecipeFor(const std::string& dataset,
                                                     const std::string& scale,
                                                     const std::string& data_dir);

// Sets rounds and local_epochs to about `epochs` in all, keeping the number of rounds where it can.
void SetEpochs(int64_t epochs, RunSpec* spec);
int64_t Epochs(const RunSpec& spec);
// More epochs for fewer samples, so that a student of little data is not merely one of few steps,
// and not the inverse either, which would cost as much as all data: epochs * fraction^-0.35.
void UseFraction(double fraction, RunSpec* spec);

}  // namespace distillery
