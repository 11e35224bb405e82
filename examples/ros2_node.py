"""A ROS 2 node: pictures of a topic in, where people would look out.

Start `gasp node`, then, in a shell where ROS 2 is sourced,

    python ros2_node.py --ros-args -p address:=tcp://127.0.0.1:5577 -r image:=/camera/image_raw

It publishes ~/map (sensor_msgs/Image, 32FC1), ~/focus (geometry_msgs/PointStamped) and ~/faces
(vision_msgs/Detection2DArray), each with the header of the picture that it is of.
"""

import rclpy
from geometry_msgs.msg import PointStamped
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image
from vision_msgs.msg import Detection2DArray

import gasp
from gasp.errors import InputError
from gasp.node import ros


class Attention(Node):
    def __init__(self):
        super().__init__("gasp")
        address = self.declare_parameter("address", "tcp://127.0.0.1:5577").value
        self.client = gasp.NodeClient(address, name=self.get_name(), quality=90)
        self.types = ros.rclpy_types()
        self.outputs = [
            (self.create_publisher(Image, "~/map", 2), ros.map_message),
            (self.create_publisher(PointStamped, "~/focus", 2), ros.focus_message),
            (self.create_publisher(Detection2DArray, "~/faces", 2), ros.faces_message),
        ]
        self.create_subscription(Image, "image", self.look, qos_profile_sensor_data)

    def look(self, picture):
        try:
            result = self.client.step(ros.read_image(picture), **ros.read_header(picture.header))
        except InputError as error:  # the node was restarted, or cannot use this picture: the next one may do
            self.get_logger().warning(str(error))
            return
        if result is not None:
            for publisher, make in self.outputs:
                publisher.publish(make(result, self.types))

    def destroy_node(self):
        self.client.close()
        super().destroy_node()


def main():
    rclpy.init()
    node = Attention()
    try:
        rclpy.spin(node)
    except KeyboardInterrupt:
        pass
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
