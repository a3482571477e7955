// Recordings and spectrograms as pictures, for people to look at.
#pragma once

#include <cstdint>

#include "common/data/image.h"
#include "common/data/sample_spec.h"

namespace distillery {

// Whether samples are drawn by DrawSound: one float32 input [1, samples] of at least 64 samples,
// the sound itself; or [1, bands, frames], a spectrogram.
bool IsSound(const SampleSpec& spec);

// The shape of what DrawSound makes. REQUIRES: IsSound(spec).
ImageShape SoundPictureShape(const SampleSpec& spec);

// A grey picture, dark on white. Of a sound its waveform from left to right, as tall as its largest
// sample, and below it its spectrogram; of a spectrogram its numbers. Low frequencies are below,
// and the loudest place is black; what is 12 or more (in nats, for log-mel) below it is white.
// `sample`: the input's numbers. REQUIRES: IsSound(spec), numbers are finite.
Image DrawSound(const SampleSpec& spec, const float* sample);

}  // namespace distillery
