#!/usr/bin/env python3
"""25 seeds of chaos_driver.py: they keep their bits, and together meet all that they are to meet."""

import json
import os
import subprocess
import sys
import unittest

import chaos_driver
import failpoints

DRIVER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "chaos_driver.py")


class ChaosTest(unittest.TestCase):
    def test_25_seeds_of_chaos_keep_their_bits(self):
        done = subprocess.run([sys.executable, DRIVER, "--json"], text=True,
                              stdout=subprocess.PIPE)
        self.assertEqual(done.returncode, 0)
        summary = json.loads(done.stdout)
        self.assertEqual(summary["seeds"], chaos_driver.PERIOD)
        self.assertEqual((summary["failed_seeds"], summary["missing"]), ([], []))
        self.assertEqual(set(summary["failpoints_hit"]), set(failpoints.names()))
        self.assertGreaterEqual(summary["leases_lost_with_work"], chaos_driver.FEWEST_LOST)
        self.assertGreaterEqual(summary["failovers_in_mid_stream"], chaos_driver.FEWEST_FAILOVERS)


if __name__ == "__main__":
    unittest.main()
