// Batches of few sizes: what is captured or compiled for a fixed number of rows takes others
// padded.
#pragma once

#include <cstdint>
#include <vector>

namespace distillery {

// 1, 2, 4, ... below the largest of `exact`, and those themselves; ascending, each once. Less than
// half of a padded batch is padding. REQUIRES: each >= 1, at least one.
std::vector<int64_t> PaddedSizes(const std::vector<int64_t>& exact);

// The smallest size that holds `rows`; 0 if none does. The first `rows` rows of what comes back are
// the batch's, the others are to be dropped.
int64_t PaddedRows(int64_t rows, const std::vector<int64_t>& sizes);

}  // namespace distillery
