// Runs the weight gradient over random shapes and compares with its defining sum in double. Every tensor has exactly its
// size on the heap; meant to be built with the address and undefined-behaviour sanitizers.   fuzz ROUNDS SEED
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

#include "support.hpp"
#include "weight_gradient.hpp"

namespace {

using s2m_edge::Brain;
using s2m_edge::DepthwiseShape;

using s2m_edge::PairFor;
using s2m_edge::put;

template <class Storage>
double value_at(const std::vector<Storage>& tensor, const DepthwiseShape& s, std::size_t b, long h, long w,
                std::size_t c) {
  using s2m_edge::to_float;
  if (h < 0 || w < 0 || h >= static_cast<long>(s.height) || w >= static_cast<long>(s.width)) return 0.0;
  const std::size_t row = static_cast<std::size_t>(h), column = static_cast<std::size_t>(w);
  return static_cast<double>(to_float(tensor[((b * s.height + row) * s.width + column) * s.channels + c]));
}

template <std::size_t K, class Storage>
bool right(const DepthwiseShape& s, std::mt19937& random) {
  std::uniform_real_distribution<float> draw(-1.0f, 1.0f);
  const std::size_t count = s.batch * s.channels * s.height * s.width;
  std::vector<Storage> x(count), upstream(count);
  for (auto& value : x) put(draw(random), value);
  for (auto& value : upstream) put(draw(random), value);
  std::vector<float> found(s.channels * K * K, std::nanf(""));
  s2m_edge::depthwise_weight_gradient<K>(x.data(), upstream.data(), s, found.data(), PairFor{});
  const long half = static_cast<long>(K / 2);
  for (std::size_t c = 0; c < s.channels; ++c)
    for (long i = 0; i < static_cast<long>(K); ++i)
      for (long j = 0; j < static_cast<long>(K); ++j) {
        double expected = 0.0;
        for (std::size_t b = 0; b < s.batch; ++b)
          for (long h = 0; h < static_cast<long>(s.height); ++h)
            for (long w = 0; w < static_cast<long>(s.width); ++w)
              expected += value_at(x, s, b, h + i - half, w + j - half, c) * value_at(upstream, s, b, h, w, c);
        const std::size_t tap = (c * K + static_cast<std::size_t>(i)) * K + static_cast<std::size_t>(j);
        if (!(std::fabs(static_cast<double>(found[tap]) - expected) < 1e-4)) return false;
      }
  return true;
}

}  // namespace

int main(int count, char** words) {
  const int rounds = count > 1 ? std::atoi(words[1]) : 100;
  std::mt19937 random(count > 2 ? static_cast<unsigned>(std::atoi(words[2])) : 0u);
  const auto up_to = [&random](std::size_t most) { return 1 + random() % most; };
  for (int round = 0; round < rounds; ++round) {
    const DepthwiseShape shape{up_to(3), up_to(40), up_to(12), up_to(12)};
    const bool done = round % 4 == 0   ? right<5, float>(shape, random)
                      : round % 4 == 1 ? right<7, float>(shape, random)
                      : round % 4 == 2 ? right<5, Brain>(shape, random)
                                       : right<7, Brain>(shape, random);
    if (!done) {
      std::fprintf(stderr, "wrong: %zu x %zu x %zu x %zu, round %d\n", shape.batch, shape.channels, shape.height,
                   shape.width, round);
      return 1;
    }
  }
  std::printf("%d shapes right\n", rounds);
  return 0;
}
