// A built-in architecture as a list of layers. Needs no LibTorch. The names of architectures are:
//
//   mlp:D-H1-...-C   fully connected with ReLU; D pixels or numbers, of all inputs in their order,
//   C
//                    answers
//   lenet            LeNet-5 (LeCun et al. 1998) with ReLU and max pooling
//   resnetN, wrn-D-W residual networks for small images, see residual_plan.h
//   transformer:L-H-W, gru:S-L   for tokens and sequences, see sequence_plan.h
//   unet:C-L         an answer for each pixel, see unet_plan.h
//
// All take the option input_dropout, and all but resnetN dropout (after each hidden layer; in a wrn
// inside its blocks): mlp:64-256-10,dropout=0.5,input_dropout=0.2.
//
// A model's inputs are those of the sample, in their order: pictures and float numbers as float32
// [batch, sizes ...], normalised by the caller, whole numbers as int64. It answers with [batch,
// positions ..., answers].
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/data/sample_spec.h"
#include "common/model/layer.h"

namespace distillery {

// The layers of `architecture` for samples of `spec` of which each position has `answers` numbers.
// INVALID_ARGUMENT for an unknown architecture (with the nearest), option, or sizes that do not
// fit.
absl::StatusOr<std::vector<Layer>> PlanArchitecture(const std::string& architecture,
                                                    const SampleSpec& spec, int64_t answers);
// The same for pictures in `class_count` classes.
absl::StatusOr<std::vector<Layer>> PlanArchitecture(const std::string& architecture,
                                                    const ImageShape& input, int64_t class_count);

// Checks what can be checked without the data: INVALID_ARGUMENT for an unknown name (with the
// nearest one), an unknown option or a value out of range.
absl::Status CheckArchitecture(const std::string& architecture);

// The architectures as a help text lists them: "mlp:IN-HIDDEN-...-OUT, lenet, ... or wrn-D-W".
std::string ArchitectureHelp();

}  // namespace distillery
