// Runs BatchNorm with ELU over random shapes, both ways, and compares with the definition in double. Every tensor has
// exactly its size on the heap; meant to be built with the address and undefined-behaviour sanitizers.   fuzz ROUNDS SEED
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

#include "norm_elu.hpp"
#include "support.hpp"

namespace {

using s2m_edge::Brain;
using s2m_edge::get;
using s2m_edge::NormShape;
using s2m_edge::PairFor;
using s2m_edge::put;

bool near(double found, double expected, double bound) {
  return std::fabs(found - expected) <= bound * (1.0 + std::fabs(expected));
}

// `bound` is of the type in which results are stored; sums and statistics are never rounded to it.
template <class Storage>
bool right(const NormShape& s, double bound, std::mt19937& random) {
  std::uniform_real_distribution<float> draw(-1.0f, 1.0f);
  const std::size_t count = s.rows * s.channels;
  std::vector<Storage> x(count), upstream(count), y(count), gradient(count);
  std::vector<float> mean(s.channels), variance(s.channels), gamma(s.channels), beta(s.channels), scale(s.channels);
  const float far = 8.0f * draw(random);
  for (auto& value : x) put(far + 2.0f * draw(random), value);
  for (auto& value : upstream) put(draw(random), value);
  for (auto& value : gamma) value = 1.0f + 0.5f * draw(random);
  for (auto& value : beta) value = draw(random);
  s2m_edge::norm_statistics(x.data(), s, mean.data(), variance.data(), PairFor{});
  const float epsilon = 1e-3f, rows = static_cast<float>(s.rows);
  for (std::size_t c = 0; c < s.channels; ++c) scale[c] = gamma[c] / std::sqrt(variance[c] + epsilon);
  const s2m_edge::NormValues values{mean.data(), scale.data(), beta.data()};
  s2m_edge::norm_elu_forward(x.data(), s, values, y.data(), PairFor{});
  std::vector<double> sum(s.channels), weighted(s.channels);
  s2m_edge::norm_elu_sums(x.data(), upstream.data(), s, values, sum.data(), weighted.data(), PairFor{});
  std::vector<float> level(s.channels), slope(s.channels);
  for (std::size_t c = 0; c < s.channels; ++c) {
    level[c] = scale[c] * static_cast<float>(sum[c]) / rows;
    slope[c] = scale[c] * static_cast<float>(weighted[c]) / (rows * (variance[c] + epsilon));
  }
  s2m_edge::norm_elu_backward(x.data(), upstream.data(), s, values, level.data(), slope.data(), gradient.data(), PairFor{});

  for (std::size_t c = 0; c < s.channels; ++c) {
    const auto at = [&](const std::vector<Storage>& tensor, std::size_t row) {
      return static_cast<double>(get(tensor[row * s.channels + c]));
    };
    double center = 0.0, spread = 0.0, plain = 0.0, by_x = 0.0;
    for (std::size_t row = 0; row < s.rows; ++row) center += at(x, row) / rows;
    for (std::size_t row = 0; row < s.rows; ++row) spread += (at(x, row) - center) * (at(x, row) - center) / rows;
    if (!near(mean[c], center, 1e-6) || !near(variance[c], spread, 1e-5)) return false;
    const double steep = gamma[c] / std::sqrt(spread + epsilon);
    const auto z = [&](std::size_t row) { return (at(x, row) - center) * steep + beta[c]; };
    const auto d = [&](std::size_t row) { return at(upstream, row) * std::exp(std::min(z(row), 0.0)); };
    for (std::size_t row = 0; row < s.rows; ++row) {
      if (!near(at(y, row), z(row) > 0.0 ? z(row) : std::expm1(z(row)), bound)) return false;
      plain += d(row);
      by_x += d(row) * (at(x, row) - center);
    }
    if (!near(sum[c], plain, 1e-4) || !near(weighted[c], by_x, 1e-4)) return false;
    for (std::size_t row = 0; row < s.rows; ++row) {
      const double apart = at(x, row) - center;
      const double expected = steep * (d(row) - plain / rows - apart * by_x / (rows * (spread + epsilon)));
      if (!near(at(gradient, row), expected, bound)) return false;
    }
  }
  return true;
}

}  // namespace

int main(int count, char** words) {
  const int rounds = count > 1 ? std::atoi(words[1]) : 100;
  std::mt19937 random(count > 2 ? static_cast<unsigned>(std::atoi(words[2])) : 0u);
  for (int round = 0; round < rounds; ++round) {
    // Now and then more rows than a block holds, so that blocks are joined within a part.
    const NormShape shape{round % 10 == 9 ? 40000 + random() % 9000 : 1 + random() % 300, 1 + random() % 40};
    if (!(round % 2 ? right<float>(shape, 2e-4, random) : right<Brain>(shape, 1e-2, random))) {
      std::fprintf(stderr, "wrong: %zu x %zu, round %d\n", shape.rows, shape.channels, round);
      return 1;
    }
  }
  std::printf("%d shapes right\n", rounds);
  return 0;
}
