// A server of grpc-go as people run it: a service (that of gRPC's interoperability
// tests), health checks and reflection. It serves until it is killed:
//
//	testserver ADDRESS SERVICE=STATUS...
//
// with the health of its services, such as grpc.testing.TestService=NOT_SERVING.
package main

import (
	"log"
	"net"
	"os"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/interop"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/reflection"
)

func main() {
	listener, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	healths := health.NewServer()
	for _, arg := range os.Args[2:] {
		service, status, _ := strings.Cut(arg, "=")
		number := healthpb.HealthCheckResponse_ServingStatus_value[status]
		healths.SetServingStatus(service, healthpb.HealthCheckResponse_ServingStatus(number))
	}
	server := grpc.NewServer()
	testpb.RegisterTestServiceServer(server, interop.NewTestServer())
	healthpb.RegisterHealthServer(server, healths)
	reflection.Register(server)
	log.Fatal(server.Serve(listener))
}
